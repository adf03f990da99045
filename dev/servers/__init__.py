"""Real servers on loopback ports of their own; the command line is dev/services."""
