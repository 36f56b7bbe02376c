"""What went wrong between a client and the hub, as an error."""

from __future__ import annotations

import json

from agent_bus_client.errors import (
    HubRefusedError,
    HubUnreachableError,
    HubUntrustedError,
    UntrustedError,
)
from agent_bus_client.net.backoff import parse_retry_after
from agent_bus_client.net.deadline import is_timeout


def unreachable(url: str, error: Exception, *, sent: bool) -> HubUnreachableError:
    """Return the error for an exchange without a complete answer."""
    if isinstance(error, UntrustedError):
        return HubUntrustedError(url, str(error))
    return HubUnreachableError(url, describe(error), sent=sent)


def describe(error: Exception) -> str:
    """Return what happened in a few words; the class name if the error has no text."""
    if is_timeout(error):
        return "timed out"
    text = getattr(error, "strerror", None) or str(error)
    return str(text or type(error).__name__)


def refusal(status: int, headers: dict[str, str], body: bytes) -> HubRefusedError:
    """Return the error for an answer without success; the problem in it, or its first words."""
    try:
        fields = json.loads(body)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        fields = {"detail": body[:200].decode("utf-8", "replace") or f"HTTP status {status}"}
    retry_after_s = parse_retry_after(headers.get("retry-after"))
    return HubRefusedError(status, fields, retry_after_s=retry_after_s)
