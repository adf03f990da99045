"""Products, their prices and their stock."""
