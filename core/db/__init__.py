"""Engines, sessions, tables and migrations: everything between a module and its database."""
