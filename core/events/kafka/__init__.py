"""Apache Kafka as the way between machines: the relay sends, a group's consumer takes.

Nothing but this package knows a broker, and it is imported only where one is configured.
"""
