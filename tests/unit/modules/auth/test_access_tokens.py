"""Access tokens: only ours, for us, in their time, are read."""

from __future__ import annotations

import base64
import json
import time
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey

from modules.auth.contracts import InvalidToken
from modules.auth.tokens import ALGORITHM, TYPE, Access, AccessTokens, digest, new_refresh_token

SECRET = "a secret of at least thirty-two characters"
OURS = Access(user_id=7, epoch=3, session="f" * 32)


def tokens(**changes: Any) -> AccessTokens:
    """Tokens of a deployment that differs from the usual one in `changes`."""
    usual: dict[str, Any] = {
        "secret": SECRET,
        "issuer": "tessera",
        "audience": "tessera-api",
        "lifetime": timedelta(minutes=15),
    }
    return AccessTokens(**usual | changes)


def forged(*, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """A token with our own key, but another header or other claims; None leaves a claim away."""
    now = int(time.time())
    usual: dict[str, Any] = {
        "iss": "tessera",
        "aud": "tessera-api",
        "iat": now,
        "exp": now + 60,
        "sub": "7",
        "sid": "s",
        "jti": "j",
        "epoch": 0,
    }
    body = {name: value for name, value in (usual | claims).items() if value is not None}
    key = tokens()._key
    return jwt.encode(
        {"alg": ALGORITHM, "typ": TYPE} | (header or {}), body, key, ["HS256", "HS512"]
    )


def b64(value: Any) -> str:
    """A part of a token."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def test_what_is_issued_is_read_again() -> None:
    """A token says whom it was issued for, of which epoch and from which sign-in."""
    assert tokens().read(tokens().issue(OURS)) == OURS


def test_a_token_is_of_the_profile_for_access_tokens() -> None:
    """The header says at+jwt, and the claims are those that were promised (RFC 9068)."""
    issued = jwt.decode(tokens().issue(OURS), tokens()._key, [ALGORITHM])
    assert issued.header == {"alg": "HS256", "typ": "at+jwt"}
    assert set(issued.claims) == {"iss", "aud", "iat", "exp", "sub", "sid", "jti", "epoch"}
    assert issued.claims["exp"] - issued.claims["iat"] == 15 * 60


@pytest.mark.parametrize(
    "other",
    [{"secret": SECRET + "!"}, {"issuer": "somebody"}, {"audience": "another-api"}],
    ids=["key", "issuer", "audience"],
)
def test_a_token_of_another_deployment_is_refused(other: dict[str, Any]) -> None:
    """Another key, issuer or audience makes a token worthless here."""
    with pytest.raises(InvalidToken):
        tokens().read(tokens(**other).issue(OURS))


def test_the_deployments_secret_itself_signs_no_token() -> None:
    """The key is derived: what something else signs with the plain secret is no token."""
    claims = jwt.decode(tokens().issue(OURS), tokens()._key, [ALGORITHM]).claims
    plain = OctKey.import_key(SECRET)
    with pytest.raises(InvalidToken):
        tokens().read(jwt.encode({"alg": ALGORITHM, "typ": TYPE}, claims, plain, [ALGORITHM]))


def test_an_expired_token_is_refused_after_its_leeway() -> None:
    """A token that ended 3 s ago is taken with a leeway of 5 s, one that ended 10 s ago is not."""
    lenient, now = tokens(leeway=timedelta(seconds=5)), int(time.time())
    assert lenient.read(forged(exp=now - 3)).user_id == 7
    with pytest.raises(InvalidToken, match="expired"):
        lenient.read(forged(exp=now - 10))
    with pytest.raises(InvalidToken, match="expired"):
        tokens().read(forged(exp=now - 3))


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+JWT", "refresh+jwt", ""])
def test_a_token_of_another_type_is_refused(typ: Any) -> None:
    """A JWT that was made for something else does not open the door."""
    with pytest.raises(InvalidToken):
        tokens().read(forged(header={"typ": typ}))


def test_an_unsigned_token_is_refused() -> None:
    """alg none, with and without the old signature, is worth nothing."""
    _, claims, signature = tokens().issue(OURS).split(".")
    for algorithm in ("none", "None", "NONE"):
        header = b64({"alg": algorithm, "typ": TYPE})
        for ending in ("", signature):
            with pytest.raises(InvalidToken):
                tokens().read(f"{header}.{claims}.{ending}")


def test_a_token_by_another_algorithm_is_refused_even_with_our_key() -> None:
    """Only HS256 is on the list; the token does not choose."""
    with pytest.raises(InvalidToken):
        tokens().read(forged(header={"alg": "HS512"}))


@pytest.mark.parametrize("claim", ["iss", "aud", "exp", "iat", "sub", "sid", "jti", "epoch"])
def test_a_token_without_one_of_its_claims_is_refused(claim: str) -> None:
    """Every claim is essential."""
    with pytest.raises(InvalidToken):
        tokens().read(forged(**{claim: None}))


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "0"},
        {"sub": "-1"},
        {"sub": str(2**63)},
        {"sub": "9" * 1000},
        {"sub": "admin"},
        {"sub": 7},
        {"epoch": "0"},
        {"epoch": True},
        {"sid": 5},
        {"exp": "never"},
        {"exp": float("inf")},
        {"iat": 2**40},
        {"aud": []},
    ],
    ids=str,
)
def test_a_token_with_odd_claims_is_refused(claims: dict[str, Any]) -> None:
    """Signed by us or not, what we never issue is not read."""
    with pytest.raises(InvalidToken):
        tokens().read(forged(**claims))


def test_every_changed_character_breaks_a_token() -> None:
    """No part of a token can be changed without its being refused."""
    token = tokens().issue(OURS)
    for place in range(0, len(token) - 1, 7):  # the last character has bits that say nothing
        changed = "A" if token[place] != "A" else "B"
        with pytest.raises(InvalidToken):
            tokens().read(token[:place] + changed + token[place + 1 :])


@given(st.one_of(st.text(max_size=200), st.from_regex(r"[\w-]{0,40}\.[\w-]{0,40}\.[\w-]{0,40}")))
def test_whatever_a_stranger_sends_is_refused(text: str) -> None:
    """No text but a token makes anything other than an InvalidToken."""
    with pytest.raises(InvalidToken):
        tokens().read(text)


@given(st.recursive(st.none() | st.integers() | st.text(max_size=8), st.lists, max_leaves=20))
def test_whatever_stands_in_a_header_is_refused(value: Any) -> None:
    """A header of any JSON is refused like any other broken token."""
    for header in (value, {"alg": value, "typ": TYPE}, {"alg": "HS256", "crit": value}):
        with pytest.raises(InvalidToken):
            tokens().read(f"{b64(header)}.{b64({})}.AAAA")


def test_a_token_of_any_length_and_depth_is_refused() -> None:
    """Nesting that would exhaust a JSON parser, and a megabyte of text, are just not valid."""
    deep = base64.urlsafe_b64encode(b"[" * 1400).decode().rstrip("=")
    for text in (f"{deep}.{deep[:100]}.AAAA", "A" * 1_000_000, "." * 2000):
        with pytest.raises(InvalidToken):
            tokens().read(text)


def test_refresh_tokens_are_long_random_and_kept_as_hashes() -> None:
    """No two are the same, each has 256 bits, and its digest tells nothing of it."""
    many = {new_refresh_token() for _ in range(1000)}
    assert len(many) == 1000
    one = many.pop()
    assert len(one) == 43
    assert len(digest(one)) == 64
    assert one not in digest(one)
