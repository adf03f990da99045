"""Whose fault it is when something does not reach the broker.

A message that the broker will not take, however often it is asked, is its own failure: it is tried
`events.tries` times and is then dead. Everything else (a broker that is away or slow, a topic that
vanished, a right that is missing) is nobody's message's fault: it waits, and is told.
"""

from __future__ import annotations

from aiokafka import errors

from core.errors import TesseraError

OWN = (
    errors.MessageSizeTooLargeError,  # larger than max_message_bytes, or max.message.bytes
    errors.RecordListTooLargeError,  # larger than a segment of the topic
    errors.InvalidTimestampError,
    UnicodeError,
    ValueError,
)
CONFIGURATION = (
    errors.TopicAuthorizationFailedError,
    errors.GroupAuthorizationFailedError,
    errors.ClusterAuthorizationFailedError,
    errors.AuthenticationFailedError,
    errors.SaslAuthenticationFailed,
    errors.UnsupportedSaslMechanismError,
    errors.PolicyViolationError,
    errors.InvalidTopicError,
    errors.InvalidPartitionsError,
    errors.InvalidReplicationFactorError,
)
AWAY = (errors.KafkaError, OSError, TimeoutError)
"""What a client of the broker may raise."""


class BrokerTrouble(TesseraError):
    """The broker cannot be worked with just now; nothing is lost, it is tried again."""


def is_own(error: BaseException) -> bool:
    """Whether the message itself is what the broker refuses."""
    return isinstance(error, OWN)


def trouble(error: BaseException, *, doing: str) -> BrokerTrouble:
    """An error of a client in words for whoever runs the deployment."""
    name = type(error).__name__
    said = " ".join(str(error).split()) or name
    if isinstance(error, TimeoutError):
        said = "no answer in time"
    elif not said.startswith(name):
        said = f"{name}: {said}"
    hint = "; the broker's configuration forbids it" if isinstance(error, CONFIGURATION) else ""
    return BrokerTrouble(f"{doing}: {said}{hint}")
