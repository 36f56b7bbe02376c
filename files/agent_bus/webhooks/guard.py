"""Which addresses a webhook may go to: the public ones, unless the inventory says otherwise."""

from __future__ import annotations

import ipaddress
import socket
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
NAT64_LOCAL: Final = ipaddress.ip_network("64:ff9b:1::/48")
COMPATIBLE: Final = ipaddress.ip_network("::/96")
"""IPv4-compatible addresses: deprecated, and never a receiver's."""
SITE_LOCAL: Final = ipaddress.ip_network("fec0::/10")


class NotAllowedError(OSError):
    """The receiver's name leads to no address that it may have."""


def is_public(address: Address) -> bool:
    """Whether an address is one of the public internet.

    An IPv6 address that stands for an IPv4 one (mapped, 6to4, Teredo, NAT64) is what that one is.
    """
    if isinstance(address, ipaddress.IPv6Address):
        inner = _inner(address)
        if inner is not None:
            return is_public(inner)
        if address in COMPATIBLE or address in SITE_LOCAL or address in NAT64_LOCAL:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _inner(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return None


def addresses(host: str, port: int, *, allow_private: bool) -> list[str]:
    """The addresses of a host that may be connected to, in the resolver's order.

    Who connects has to use one of these: asking the resolver again could give others.

    Raises:
        NotAllowedError: there are only others; the text names the host and not its addresses.
        OSError: the name is not known.
    """
    found = list(
        dict.fromkeys(
            str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
    )
    allowed = [one for one in found if allow_private or _is_allowed(one)]
    if not allowed:
        raise NotAllowedError(
            f"{host} has no public address; if it is meant, set allow_private for this webhook"
        )
    return allowed


def _is_allowed(text: str) -> bool:
    try:
        return is_public(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        return False
