"""Port power: which switch a location has, what else it cuts, and the root helper behind one of them."""
