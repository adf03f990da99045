"""Real data to try Tessera with. It knows nothing of the server but its HTTP API."""
