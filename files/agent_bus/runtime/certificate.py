"""When a certificate ends: reads this one date from X.509, and nothing else. Pure.

Python's ssl tells it only of a verified peer, and `cryptography` is 4 MB of compiled code for one
date (decision 31). OpenSSL has loaded the same file already; nothing is verified here.
Source: RFC 5280, section 4.1; X.690 for the encoding.
"""

from __future__ import annotations

import re
import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from agent_bus.core import errors

if TYPE_CHECKING:
    from pathlib import Path

BLOCK: Final = re.compile(
    r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL | re.ASCII
)
SEQUENCE: Final = 0x30
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18
VERSION: Final = 0xA0
"""The tag of the version, which a certificate of version 1 does not have."""
BEFORE_VALIDITY: Final = 3
"""Serial number, algorithm and issuer come between the version and the validity."""


def expires_at(path: Path) -> int:
    """When the first certificate in a PEM file ends, in milliseconds since 1970.

    Raises:
        errors.StartupError: the file cannot be read, or there is no certificate in it.
    """
    try:
        found = BLOCK.search(path.read_text(encoding="utf-8", errors="replace"))
        return not_after(ssl.PEM_cert_to_DER_cert(found[0] if found else ""))
    except OSError as error:
        raise errors.StartupError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, IndexError) as error:
        raise errors.StartupError(f"{path}: is not a certificate in PEM: {error}") from error


def not_after(der: bytes) -> int:
    """When a certificate ends, in milliseconds since 1970.

    Raises:
        ValueError, IndexError: it is not a certificate.
    """
    _, certificate, _ = _element(der)
    _, content, _ = _element(certificate)
    tag, _, rest = _element(content)
    content = rest if tag == VERSION else content
    for _ in range(BEFORE_VALIDITY):
        _, _, content = _element(content)
    tag, validity, _ = _element(content)
    if tag != SEQUENCE:
        raise ValueError("its validity is missing")
    _, _, rest = _element(validity)
    tag, text, _ = _element(rest)
    return _milliseconds(tag, text.decode("ascii"))


def _element(der: bytes) -> tuple[int, bytes, bytes]:
    """(tag, content, rest) of the first element in these bytes."""
    tag, length, start = der[0], der[1], 2
    if length & 0x80:  # the length's own length
        start += length & 0x7F
        length = int.from_bytes(der[2:start], "big")
    if start + length > len(der):
        raise ValueError("it is cut off")
    return tag, der[start : start + length], der[start + length :]


def _milliseconds(tag: int, text: str) -> int:
    if tag == UTC_TIME:  # two digits of the year, 50 to 99 in the last century
        text = ("19" if text >= "50" else "20") + text
    elif tag != GENERALIZED_TIME:
        raise ValueError("its end is no time")
    return int(datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()) * 1000
