"""The MQTT room: pure tests, and the client against real brokers."""
