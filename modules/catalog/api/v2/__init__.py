"""Version 2 of the catalogue's routes."""
