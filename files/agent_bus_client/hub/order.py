"""In which order a node tries the hubs; pure.

Rendezvous hashing (Thaler and Ravishankar, 1998): each node weighs each hub, and tries the
heaviest first. The nodes spread evenly. When a hub leaves the list, only its own nodes move, and
they spread evenly over the others. The order of the list does not matter.
"""

from __future__ import annotations

from binascii import crc32  # hashlib loads OpenSSL, for 3 ms at each start of the command line

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from collections.abc import Iterable

WORD = 0xFFFFFFFF


def ordered(node: str, urls: Iterable[str]) -> tuple[str, ...]:
    """Return the hubs in the order in which this node tries them, always the same one."""
    return tuple(sorted(urls, key=lambda url: (-weight(node, url), url)))


def weight(node: str, url: str) -> int:
    """Return the weight of a hub for a node, from 0 to 2**32 - 1.

    CRC32 alone is linear: it would give all nodes the same few orders. So its bits are mixed as
    at the end of MurmurHash3.
    """
    word = crc32(f"{node} {url}".encode())
    word ^= word >> 16
    word = word * 0x85EBCA6B & WORD
    word ^= word >> 13
    word = word * 0xC2B2AE35 & WORD
    return word ^ word >> 16
