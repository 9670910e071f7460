"""The MQTT tree as Prometheus metrics: a client of the one API, in a process of its own."""
