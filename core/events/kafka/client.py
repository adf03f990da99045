"""What every client of the broker is told: where it is and how to sign in."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from core.events.kafka.trouble import last_words

if TYPE_CHECKING:
    from core.settings import KafkaSettings

AGAIN_SECONDS = 0.2
"""How long a client waits before it asks a broker again that did not answer."""


def options(settings: KafkaSettings) -> dict[str, Any]:
    """The arguments that producer, consumer and admin client have in common."""
    last_words.listen()
    told: dict[str, Any] = {
        "bootstrap_servers": [it.strip() for it in settings.bootstrap_servers.split(",")],
        "request_timeout_ms": int(settings.send_seconds * 1000),
        "retry_backoff_ms": int(AGAIN_SECONDS * 1000),
        "security_protocol": settings.security_protocol,
    }
    if settings.security_protocol.endswith("SSL"):
        told["ssl_context"] = ssl.create_default_context(cafile=settings.ssl_cafile or None)
    if settings.security_protocol.startswith("SASL"):
        told["sasl_mechanism"] = settings.sasl_mechanism
        told["sasl_plain_username"] = settings.sasl_username
        told["sasl_plain_password"] = settings.sasl_password.get_secret_value()
    return told


def topic_of(settings: KafkaSettings, module: str) -> str:
    """The topic of the events that a module publishes."""
    return f"{settings.topic_prefix}.{module}"


def group_of(settings: KafkaSettings, module: str) -> str:
    """The consumer group of a module that subscribes."""
    return f"{settings.topic_prefix}.{module}"
