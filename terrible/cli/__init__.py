"""The commands, one file per family, and the composition root."""
