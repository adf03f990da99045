"""The features that Tessera ships, one package a module; loaded as a stranger's would be."""
