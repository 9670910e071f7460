"""The agent seen from elsewhere: what every client of the one API needs to reach it through its broker."""
