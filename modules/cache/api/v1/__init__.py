"""Version 1 of the cache's routes."""
