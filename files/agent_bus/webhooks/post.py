"""One request to a receiver: to an address that was checked, signed, within a bounded time."""

from __future__ import annotations

import functools
import http.client
import socket
import ssl
from typing import TYPE_CHECKING, Final

from agent_bus import __version__
from agent_bus.runtime import greenlets
from agent_bus.webhooks import guard, schedule, signing
from agent_bus.webhooks.schedule import AWAY, Attempt

if TYPE_CHECKING:
    from pathlib import Path

    from agent_bus.core.clock import Clock
    from agent_bus.webhook_settings import Signed

PATIENCE_S: Final = 15.0
"""For the look-up of the name, the connection and the answer together; Standard Webhooks asks
receivers to answer within 15 to 30 s."""
ANSWER_BYTES: Final = 16_384
"""What is read of an answer's body, only so that the connection can be used again."""


class Receiver:
    """A way to one receiver: a connection that is kept as long as the receiver likes.

    For one greenlet at a time. Requests go straight there; no proxy is asked, whatever the
    environment says, and no redirect is followed.
    """

    def __init__(self, signed: Signed, *, clock: Clock, patience_s: float = PATIENCE_S) -> None:
        self._signed = signed
        self._webhook = signed.webhook
        self._clock = clock
        self._patience_s = patience_s
        self._connection: http.client.HTTPConnection | None = None
        parts = signed.webhook.parts
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def post(self, event_id: str, body: bytes) -> Attempt:
        """Send an event; whatever happens is an attempt."""
        was_kept = self._connection is not None
        try:
            with greenlets.deadline(self._patience_s):
                try:
                    return self._exchange(event_id, body)
                except (ConnectionError, http.client.BadStatusLine):
                    if not was_kept:
                        raise
                    self.close()  # the receiver had ended it while nothing was sent
                    return self._exchange(event_id, body)
        except greenlets.DeadlineError:
            words = f"no answer within {self._patience_s:g} s"
        except ssl.SSLCertVerificationError as error:
            words = f"its certificate is not trusted: {error.verify_message}"
        except guard.NotAllowedError as error:
            words = str(error)
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            words = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        self.close()
        return Attempt(AWAY, "".join(char for char in words if char.isprintable())[:200])

    def close(self) -> None:
        """Drop the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _exchange(self, event_id: str, body: bytes) -> Attempt:
        connection = self._connection = self._connection or self._connect()
        now_s = self._clock.now_ms() / 1000
        headers = {
            "Host": self._webhook.parts.netloc,
            "Content-Type": "application/json",
            "User-Agent": f"agent-bus/{__version__}",
            **signing.headers(self._signed.secrets, event_id, int(now_s), body),
        }
        connection.request("POST", self._target, body, headers)
        answer = connection.getresponse()
        rest = answer.read(ANSWER_BYTES + 1)
        if answer.will_close or len(rest) > ANSWER_BYTES or not answer.isclosed():
            self.close()
        found = schedule.verdict(answer.status)
        if found == schedule.DELIVERED:
            return Attempt(found, "")
        asked_s = schedule.retry_after_s(answer.getheader("Retry-After"), now_s)
        return Attempt(found, schedule.words(answer.status, answer.reason), asked_s)

    def _connect(self) -> http.client.HTTPConnection:
        webhook = self._webhook
        found = guard.addresses(webhook.host, webhook.port, allow_private=webhook.allow_private)
        connection = http.client.HTTPConnection(webhook.host, webhook.port)
        connection.sock = self._dial(found)
        connection.auto_open = 0  # or it would look the name up by itself
        return connection

    def _dial(self, addresses: list[str]) -> socket.socket:
        webhook = self._webhook
        failed: OSError | None = None
        for address in addresses:
            try:
                plain = socket.create_connection((address, webhook.port), self._patience_s)
            except OSError as error:
                failed = error
                continue
            # headers and body are two writes: without it the second one waits for an ACK of 40 ms
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if not webhook.is_tls:
                return plain
            try:
                return _context(webhook.ca_file).wrap_socket(plain, server_hostname=webhook.host)
            except BaseException:
                plain.close()
                raise
        raise failed or OSError(f"{webhook.host} has no address")


@functools.cache
def _context(ca_file: Path | None) -> ssl.SSLContext:
    """What verifies certificates; made once, because the system's authorities are many."""
    return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
