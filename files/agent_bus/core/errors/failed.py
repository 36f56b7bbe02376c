"""What the hub cannot do now: statuses from 500 on, and what keeps it from starting."""

from __future__ import annotations

from agent_bus.core.errors.base import BusError


class InternalError(BusError):
    """A defect of the server; the log has the stack."""

    code = "internal"
    status = 500
    title = "The hub failed"

    def __init__(self) -> None:
        super().__init__("Unexpected; `journalctl -u agent-bus` on the hub has the details.")


class BackupFailedError(BusError):
    """A backup could not be made or did not pass its check; older ones are untouched."""

    code = "backup_failed"
    status = 500
    title = "The backup failed"

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}. Check the disk of the hub, then try again.")


class NotReadyError(BusError):
    """The hub is starting or stopping."""

    code = "not_ready"
    status = 503
    title = "The hub is not ready"

    def __init__(self, detail: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(detail, retry_after_s=retry_after_s)


class TlsRequiredError(BusError):
    """Plain HTTP came to a hub that speaks TLS; 503, so that clients keep what they send."""

    code = "tls_required"
    status = 503
    title = "The hub speaks TLS"

    def __init__(self) -> None:
        super().__init__(
            "Use https:// in place of http://. On a node, run the site playbook for it.",
            retry_after_s=30.0,
        )


class TooManyStreamsError(BusError):
    """A stream or long poll over the cap."""

    code = "too_many_streams"
    status = 503
    title = "Too many open streams"

    def __init__(self, limit: int, *, scope: str) -> None:
        super().__init__(
            f"{limit} streams are open for {scope}; close one and try again.", retry_after_s=5.0
        )


class CommitUnknownError(BusError):
    """The disk or the database failed during a commit: whether it was stored is unknown."""

    code = "commit_unknown"
    status = 503
    title = "It is not known whether this was stored"

    def __init__(self, reason: str = "The disk failed during the commit") -> None:
        super().__init__(
            f"{reason}. Repeat the request with the same Idempotency-Key: it is stored once.",
            retry_after_s=5.0,
        )


class NoPrimaryError(BusError):
    """No server of the database takes writes now; 503, so that clients keep what they send."""

    code = "no_primary"
    status = 503
    title = "The database takes no writes now"

    def __init__(self) -> None:
        super().__init__(
            "The fleet's database has no primary at the moment. Repeat the request with the same "
            "Idempotency-Key: it is stored once.",
            retry_after_s=2.0,
        )


class DiskFullError(BusError):
    """The database's file system has no room."""

    code = "disk_full"
    status = 507
    title = "The hub's disk is full"

    def __init__(self, reason: str = "Reading still works; the operator must make room") -> None:
        super().__init__(f"Nothing was stored. {reason} on the hub.", retry_after_s=30.0)


class StartupError(Exception):
    """The server must not start; the text says why and what to do (not an HTTP error)."""
