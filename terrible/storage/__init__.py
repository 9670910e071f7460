"""The cards of slots: the privileged helper that opens the right one, and what the agent has of all this."""
