"""Whose fault it is when something does not reach the broker.

A message that the broker will not take, however often it is asked, is its own failure: it is tried
`events.tries` times and is then dead. Everything else (a broker that is away or slow, a topic that
vanished, a right that is missing) is nobody's message's fault: it waits, and is told. So is a time
that the broker does not take: the producer stamps it, with the clock of its host. What is wrong
with one topic lets the others' messages go on.
"""

from __future__ import annotations

import logging

from aiokafka import errors

from core.errors import TesseraError

OWN = (
    errors.MessageSizeTooLargeError,  # larger than max_message_bytes, or max.message.bytes
    errors.RecordListTooLargeError,  # larger than a segment of the topic
    UnicodeError,
    ValueError,
)
OF_A_TOPIC = (
    errors.TopicAuthorizationFailedError,
    errors.InvalidTopicError,
    errors.InvalidTimestampError,  # how far a clock may be off is a topic's to say
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
WRONG_CLOCK = (
    "the time of sending is not what the broker takes: put the clock of this host right "
    "(or message.timestamp.after.max.ms and before.max.ms of the topic)"
)
AWAY = (errors.KafkaError, OSError, TimeoutError)
"""What a client of the broker may raise."""


class LastWords(logging.Handler):
    """Why no broker could be connected with (a wrong password, a refused connection).

    aiokafka tells that in its log alone, at each of its tries. It is kept for the one line that
    core writes, and goes no further.
    """

    def __init__(self) -> None:
        super().__init__()
        self.said = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what its client says; let nothing but the worst pass."""
        if record.name == "aiokafka":
            self.said = record.getMessage()
        if record.levelno >= logging.CRITICAL:
            logging.getLogger().handle(record)

    def listen(self) -> None:
        """From now on; again after the log was configured anew."""
        logger = logging.getLogger("aiokafka")
        logger.setLevel(logging.ERROR)
        logger.propagate = False
        logger.addHandler(self)


last_words = LastWords()


class BrokerTrouble(TesseraError):
    """The broker cannot be worked with just now; nothing is lost, it is tried again."""


def is_own(error: BaseException) -> bool:
    """Whether the message itself is what the broker refuses."""
    return isinstance(error, OWN)


def is_of_a_topic(error: BaseException) -> bool:
    """Whether it is the topic that takes nothing, while others may."""
    return isinstance(error, OF_A_TOPIC)


def trouble(error: BaseException, *, doing: str) -> BrokerTrouble:
    """An error of a client in words for whoever runs the deployment."""
    name = type(error).__name__
    said = " ".join(str(error).split()) or name
    if isinstance(error, TimeoutError):
        said = "no answer in time"
    elif isinstance(error, errors.KafkaConnectionError) and last_words.said:
        said = last_words.said
    elif isinstance(error, errors.InvalidTimestampError):
        said = f"{name}: {WRONG_CLOCK}"
    elif not said.startswith(name):
        said = f"{name}: {said}"
    hint = "; the broker's configuration forbids it" if isinstance(error, CONFIGURATION) else ""
    return BrokerTrouble(f"{doing}: {said}{hint}")
