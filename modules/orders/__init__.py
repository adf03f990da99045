"""Orders: placed from the catalogue, carried through their states, imported from history."""
