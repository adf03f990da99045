"""The cache's HTTP interface."""
