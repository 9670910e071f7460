"""Port power: which switch a location has, what else it cuts, and the privileged helper of one of them."""
