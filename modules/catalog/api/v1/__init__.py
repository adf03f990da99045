"""Version 1 of the catalogue's routes."""
