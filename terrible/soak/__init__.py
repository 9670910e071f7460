"""The overnight test: cycles slots through the one API, and writes down how often they came up."""
