"""Version 1 of the orders' routes."""
