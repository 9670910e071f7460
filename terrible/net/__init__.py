"""The node network: addresses by slot."""
