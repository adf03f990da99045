"""Access tokens: JWT (RFC 7519) with the profile of RFC 9068, signed with HS256.

Refresh tokens are no JWT: random, kept as a hash in the database.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
import uuid
from dataclasses import dataclass
from datetime import timedelta

from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import OctKey

from modules.auth.contracts import InvalidToken

ALGORITHM = "HS256"
TYPE = "at+jwt"
LONGEST = 2048
"""Characters; ours have some 400, and nothing longer is worth decoding."""
_MAX_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Access:
    """What a valid access token says: `session` is the sign-in that it came from."""

    user_id: int
    epoch: int
    session: str


class AccessTokens:
    """Issues and reads access tokens.

    Its key is derived from the deployment's secret under a label of its own, so that nothing else
    that is signed with that secret can be taken for a token.
    """

    def __init__(
        self,
        *,
        secret: str,
        issuer: str,
        audience: str,
        lifetime: timedelta,
        leeway: timedelta = timedelta(0),
    ) -> None:
        derived = hmac.digest(secret.encode(), b"tessera.auth.access-token.v1", "sha256")
        self._key = OctKey.import_key(derived)
        self._issuer = issuer
        self._audience = audience
        self.lifetime = lifetime
        self._claims = jwt.JWTClaimsRegistry(
            leeway=int(leeway.total_seconds()),
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
            sid={"essential": True},
            jti={"essential": True},
            epoch={"essential": True, "allow_blank": True},
        )

    def issue(self, access: Access) -> str:
        """A token that lives for `lifetime` from now on."""
        now = int(time.time())
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "iat": now,
            "exp": now + int(self.lifetime.total_seconds()),
            "sub": str(access.user_id),
            "sid": access.session,
            "jti": uuid.uuid4().hex,
            "epoch": access.epoch,
        }
        return jwt.encode({"alg": ALGORITHM, "typ": TYPE}, claims, self._key, [ALGORITHM])

    def read(self, text: str) -> Access:
        """Raises InvalidToken unless the token is ours, meant for us and in its time."""
        if len(text) > LONGEST:
            raise InvalidToken("The access token is not valid.")
        try:
            token = jwt.decode(text, self._key, [ALGORITHM])
            if token.header.get("typ") != TYPE:
                raise InvalidToken("This is no access token.")
            self._claims.validate(token.claims)
            return _access(token.claims)
        except ExpiredTokenError:
            raise InvalidToken("The access token has expired.") from None
        except (JoseError, ValueError, TypeError, RecursionError):  # what strangers send as a token
            raise InvalidToken("The access token is not valid.") from None


def _access(claims: jwt.Claims) -> Access:
    """Raises ValueError or TypeError for claims that no token of ours has."""
    user_id, epoch, session = int(claims["sub"]), claims["epoch"], claims["sid"]
    if not 0 < user_id <= _MAX_ID or type(epoch) is not int or not isinstance(session, str):
        raise ValueError("claims of another kind")
    return Access(user_id=user_id, epoch=epoch, session=session)


def new_refresh_token() -> str:
    """256 random bits in 43 characters."""
    return secrets.token_urlsafe(32)


def digest(refresh_token: str) -> str:
    """What is kept of a refresh token; it is random, so that a fast hash is enough."""
    return hashlib.sha256(refresh_token.encode()).hexdigest()
