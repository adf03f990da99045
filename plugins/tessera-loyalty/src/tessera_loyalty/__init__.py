"""Points for a shop on Tessera: orders earn them, and are paid with them."""
