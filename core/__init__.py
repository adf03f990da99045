"""Tessera's core: it loads feature modules and knows none of them."""

__version__ = "1.0.0"
