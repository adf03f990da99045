"""Texts that anybody may read: without the passwords of addresses, and on one line."""

from __future__ import annotations

import re

MASK = "********"
# A password may hold anything, an @ and a slash too, so it reaches to the last @ that there is.
# Not from the middle of a word: a long one would be looked through from each of its letters.
_IN_PROSE = re.compile(
    r"(?<![a-z0-9+.-])(?P<scheme>[a-z][a-z0-9+.-]*://)(?P<user>\S*)@", re.IGNORECASE
)
_IN_VALUE = re.compile(
    r"(?<![a-z0-9+.-])(?P<scheme>[a-z][a-z0-9+.-]*://)(?P<user>.*)@", re.IGNORECASE | re.DOTALL
)
_ARGUMENT = re.compile(
    r"(?P<name>[?&][\w-]*(password|passwd|secret|token|key)=)[^&\s\"']+", re.IGNORECASE
)


def mask_urls(text: str, *, prose: bool = True) -> str:
    """The same text without the passwords in its URLs; not `prose`: the text is one URL."""

    def hidden(found: re.Match[str]) -> str:
        user, colon, _ = found["user"].partition(":")
        return f"{found['scheme']}{user + ':' + MASK if colon else MASK}@"

    if "://" not in text:
        return text
    text = (_IN_PROSE if prose else _IN_VALUE).sub(hidden, text)
    return _ARGUMENT.sub(lambda found: found["name"] + MASK, text)


def password_in(url: str) -> str | None:
    """The password in a URL, or a user without one; None where there is neither."""
    found = _IN_VALUE.search(url)
    return found and (found["user"].partition(":")[2] or found["user"])


def one_line(text: str) -> str:
    """Control characters made visible, so that a message stays one line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
