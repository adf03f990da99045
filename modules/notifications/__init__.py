"""Notifications: mail about what happened, written from the events of other modules."""
