"""``check``: what the framework lets you get wrong in silence. One file for each family."""
