"""Rates of exchange for a shop on Tessera, from a file."""
