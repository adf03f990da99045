"""What `tessera check` looks at in auth."""

from __future__ import annotations

from collections.abc import Iterator

from core.plugin import CheckContext, Finding

LONGEST_MINUTES = 60


def long_lived_tokens(context: CheckContext) -> Iterator[Finding]:
    """AUTH001, with --deploy: an access token is good until it ends, wherever it was left."""
    minutes = context.settings.access_minutes
    if context.deploy and minutes > LONGEST_MINUTES:
        yield Finding(
            "AUTH001",
            "modules.auth.access_minutes",
            f"access tokens live {minutes} minutes: whoever finds one in a log has it for so long",
            f"{LONGEST_MINUTES} at most; clients renew it with the refresh token",
            severity="warning",
        )
