"""Version 2 of the cache's routes."""
