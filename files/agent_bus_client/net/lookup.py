"""The addresses of a host's name, with a deadline.

`getaddrinfo` has none: two name servers that do not answer cost 20 s, and nothing can end it. So
it runs in a daemon thread, for which neither its caller nor the exit of the interpreter waits. A
server that answers for only one address family holds up the other: after half a second each is
asked alone.
"""

from __future__ import annotations

import _socket as socket  # without the module above it: decision 60
import threading
import time

from agent_bus_client.errors import NoAddressError
from agent_bus_client.net.address import addresses, alternated

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from typing import Optional

    from agent_bus_client.net.address import Address
    from agent_bus_client.net.deadline import Deadline

SPLIT_AFTER_S = 0.5  # healthy name servers answer in milliseconds
ABANDON_AFTER_S = 60.0  # after that, a look-up that still hangs counts as lost
FAMILIES = (socket.AF_INET6, socket.AF_INET)  # RFC 8305, 4: IPv6 first, then by turns


class Lookup:
    """One look-up of one name; it runs from its construction on, and any thread may ask it."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._changed = threading.Condition()
        self._known: list[Address] = []
        self._running = 0
        self._was_split = False
        self._error: Optional[socket.gaierror] = None
        self._started_at = time.monotonic()
        self._ask(socket.AF_UNSPEC)

    def is_over(self) -> bool:
        """Tell whether it will learn nothing more, or has been hanging for too long."""
        return not self._running or time.monotonic() - self._started_at > ABANDON_AFTER_S

    def known(self) -> list[Address]:
        """Return the addresses known so far; families alternate, each in the system's order."""
        with self._changed:
            return alternated(self._known)

    def wait(self, deadline: Deadline) -> None:
        """Wait until an address is known, no more can be learned, or the deadline has passed."""
        split_at = self._started_at + SPLIT_AFTER_S
        with self._changed:
            while not self._known and self._running and deadline.left_s():
                if not self._was_split and time.monotonic() >= split_at:
                    self._was_split = True
                    for family in FAMILIES:
                        self._ask(family)
                soon_s = deadline.left_s()
                if not self._was_split:
                    soon_s = min(soon_s, max(0.0, split_at - time.monotonic()))
                self._changed.wait(soon_s)

    def failure(self, waited_s: float) -> NoAddressError:
        """Return why no address is known; the message says what to do."""
        if self._running or self._error is None:
            return NoAddressError.silent(self._host, waited_s)
        if self._error.errno in {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", None)}:
            return NoAddressError.unknown(self._host)
        return NoAddressError.failed(self._host, self._error.strerror or str(self._error))

    def _ask(self, family: int) -> None:
        """Ask in a thread; the caller holds the lock or is the constructor."""
        self._running += 1
        name = f"lookup-{self._host}"
        threading.Thread(target=self._look, args=(family,), name=name, daemon=True).start()

    def _look(self, family: int) -> None:
        found: list[Address] = []
        error: Optional[socket.gaierror] = None
        try:
            found = addresses(self._host, self._port, family)
        except socket.gaierror as failed:
            error = failed
        except (OSError, UnicodeError) as failed:
            error = socket.gaierror(socket.EAI_FAIL, str(failed))
        with self._changed:
            self._running -= 1
            self._known += [address for address in found if address not in self._known]
            self._error = self._error or error
            self._changed.notify_all()
