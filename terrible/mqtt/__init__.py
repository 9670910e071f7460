"""MQTT, the one API: what the agent publishes and what people ask of it."""
