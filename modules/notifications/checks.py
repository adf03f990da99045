"""What `tessera check` looks at in notifications."""

from __future__ import annotations

from collections.abc import Iterator

from core.plugin import CheckContext, Finding


def mail_that_nobody_gets(context: CheckContext) -> Iterator[Finding]:
    """NOTIFICATIONS001, with --deploy: mail is written to files, and nobody reads those."""
    if context.deploy and not context.settings.smtp_host:
        yield Finding(
            "NOTIFICATIONS001",
            "modules.notifications.smtp_host",
            f"there is no mail server: mail lies in {context.settings.folder} and reaches nobody",
            "give smtp_host and sender, or disable the module",
            severity="warning",
        )


def password_in_the_clear(context: CheckContext) -> Iterator[Finding]:
    """NOTIFICATIONS002, with --deploy: the mail server's password travels as it is."""
    chosen = context.settings
    if context.deploy and chosen.smtp_host and chosen.username and chosen.encryption == "none":
        yield Finding(
            "NOTIFICATIONS002",
            "modules.notifications.encryption",
            f"the password of {chosen.username} goes to {chosen.smtp_host} unencrypted",
            'encryption = "starttls", or "tls"',
            severity="warning",
        )
