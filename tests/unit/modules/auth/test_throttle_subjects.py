"""Under which name failures are counted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from modules.auth.throttle import account_subject, address_subject


def test_an_ipv6_address_counts_by_its_network() -> None:
    """Whoever has a /64 has one count, not 2^64; IPv4 addresses count one by one."""
    one, other = address_subject("2001:db8:1:2::1"), address_subject("2001:db8:1:2:ffff::9")
    assert one == other == "address:2001:db8:1:2::/64"
    assert address_subject("2001:db8:1:3::1") != one
    assert address_subject("192.0.2.1") == "address:192.0.2.1" != address_subject("192.0.2.2")


def test_where_no_address_is_known_only_the_account_counts() -> None:
    """A server on a socket file knows no address of the caller."""
    assert address_subject(None) is None
    assert address_subject("") is None


@given(st.text(st.characters(codec=None), max_size=2000))
def test_any_text_has_a_name_that_fits(text: str) -> None:
    """Whatever is typed for an account or comes as an address fits the column."""
    assert len(account_subject(text)) <= 80
    assert len(address_subject(text) or "") <= 80


def test_an_ipv4_address_mapped_into_ipv6_is_the_ipv4_address() -> None:
    """A dual-stack socket does not give everybody the same count."""
    assert address_subject("::ffff:192.0.2.1") == "address:192.0.2.1"
    assert address_subject("::ffff:192.0.2.1") != address_subject("::ffff:192.0.2.2")
