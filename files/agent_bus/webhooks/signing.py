"""Signs requests as Standard Webhooks 1.0 says: HMAC-SHA256 over id, time and body."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def headers(
    secrets: Iterable[bytes], event_id: str, timestamp_s: int, body: bytes
) -> dict[str, str]:
    """The headers that a receiver verifies; one signature per secret, so that both are valid."""
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(
            signature(secret, event_id, timestamp_s, body) for secret in secrets
        ),
    }


def signature(secret: bytes, event_id: str, timestamp_s: int, body: bytes) -> str:
    """`v1,` and the base64 of the HMAC."""
    signed = f"{event_id}.{timestamp_s}.".encode() + body
    digest = hmac.new(secret, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"
