"""Tell systemd how the service is (sd_notify); silent when systemd did not start it.

Source: sd_notify(3), "Notes": one datagram of newline-separated assignments.
"""

from __future__ import annotations

import _socket  # without the module above it: decision 60
import os

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    import socket

_FIRST_FD = 3


def notify(*assignments: str) -> None:
    """Send, for example, `READY=1`; never raises: nobody listening is no reason to stop."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        sender = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
        try:
            sender.connect(address)
            sender.sendall("\n".join(assignments).encode())
        finally:
            sender.close()
    except OSError:
        pass


def watchdog_interval_s() -> float | None:
    """Return how often to send `WATCHDOG=1` (a third of the limit), None without a watchdog."""
    raw = os.environ.get("WATCHDOG_USEC", "")
    if not raw.isdigit() or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(raw) / 1e6 / 3


def listener() -> socket.socket | None:
    """Return the one socket that systemd listens on for this service; None without one.

    Source: sd_listen_fds(3).
    """
    mine = os.environ.get("LISTEN_PID") == str(os.getpid())
    if not mine or os.environ.get("LISTEN_FDS") != "1":
        return None
    import socket  # only a turn service listens

    os.set_inheritable(_FIRST_FD, False)
    return socket.socket(fileno=_FIRST_FD)
