"""Tell systemd how the service is (sd_notify); silent when systemd did not start it.

Source: sd_notify(3), "Notes": one datagram of newline-separated assignments.
"""

from __future__ import annotations

import contextlib
import os
import socket


def notify(*assignments: str) -> None:
    """Send, for example, `READY=1`; never raises: nobody listening is no reason to stop."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(address)
        sender.sendall("\n".join(assignments).encode())


def watchdog_interval_s() -> float | None:
    """Return how often to send `WATCHDOG=1` (a third of the limit), None without a watchdog."""
    raw = os.environ.get("WATCHDOG_USEC", "")
    if not raw.isdigit() or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(raw) / 1e6 / 3
