"""The errors of signing in. auth offers nothing else of its own: its `CredentialStore` is a port of
users, and who calls is told through the `authenticators` hook."""

from __future__ import annotations

from core.plugin import TooManyRequests, Unauthenticated


class InvalidCredentials(Unauthenticated):
    """No active user has this address and password. Which of the two is wrong is not told."""

    slug = "invalid-credentials"
    title = "Wrong address or password"


class InvalidToken(Unauthenticated):
    """The token is expired, revoked, used up or not ours. Refresh it, or sign in again."""

    slug = "invalid-token"
    title = "The token is not valid"

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'  # RFC 6750, section 3.1


class TooManySignIns(TooManyRequests):
    """Too many failed sign-ins to this account or from this address. Wait for Retry-After."""

    slug = "too-many-sign-ins"
    title = "Too many failed sign-ins"
