"""The process that writes an image onto cards."""
