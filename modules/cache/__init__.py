"""The cache: loads are shared, remembered and forgotten by tag."""
