"""Version 2 of the orders' routes."""
