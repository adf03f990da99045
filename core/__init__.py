"""Tessera's core: it loads feature modules and knows none of them."""

__version__ = "1.0.0"
DISTRIBUTION = "tessera-modulith"
"""Whose `core` this is: by it tessera_modulith.py tells ours from another of that name."""
