"""Headers with an address, written so that every reader finds that one address and the name.

Python's own writing loses the quotes around a name where it has to break the line: a comma or a
``<`` in the name begins another address then.
"""

from __future__ import annotations

from email.header import Header
from email.headerregistry import Address, BaseHeader, HeaderRegistry, UniqueAddressHeader
from email.policy import SMTP, Policy

LINE = 76
"""Characters of a line, where it can be broken (RFC 2047, 2)."""
ENCODED_WORD = 75
LONGEST_QUOTED = 900
"""Characters of a name that leave its line below 998, beyond which servers may break it."""


class OneAddress(UniqueAddressHeader, BaseHeader):  # type: ignore[misc]  # as registries do it
    """A header with one address."""

    def fold(self, *, policy: Policy) -> str:
        """The header as it is sent."""
        [address] = self.addresses
        first, *others = _words(address, self.name)
        lines = [f"{self.name}: {first}"]
        for word in others:
            if len(lines[-1]) + 1 + len(word) <= LINE:
                lines[-1] += f" {word}"
            else:
                lines.append(f" {word}")
        return "".join(f"{line}{policy.linesep}" for line in lines)


def _words(address: Address, header: str) -> list[str]:
    """What is not to be broken: the name as one, or in encoded words; then the address.

    A quoted name stays on one line however long it is: not every reader puts it together again.
    """
    if not address.display_name:
        return [address.addr_spec]
    spec = f"<{address.addr_spec}>"
    name = str(address).removesuffix(f" {spec}")  # in quotes, where it needs them
    if name.isascii() and "=?" not in name and len(name) <= LONGEST_QUOTED:
        return [name, spec]
    encoded = Header(address.display_name, "utf-8", ENCODED_WORD, header).encode()
    return [*encoded.split(), spec]


_registry = HeaderRegistry()
_registry.map_to_type("from", OneAddress)
_registry.map_to_type("to", OneAddress)

# Every server takes seven bits; what is written to a file is what is sent.
POLICY = SMTP.clone(cte_type="7bit", header_factory=_registry)
