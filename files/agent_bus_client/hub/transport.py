"""Talks to the hub: JSON calls and the event stream.

Each call has a connection of its own and blocks up to its timeout; any thread may call.
"""

from __future__ import annotations

import json

from agent_bus_client import release
from agent_bus_client.errors import HttpError, HubUnreachableError
from agent_bus_client.net import http1
from agent_bus_client.net.deadline import Deadline
from agent_bus_client.net.http1 import quoted

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Optional

    from agent_bus_client.errors import HubRefusedError
    from agent_bus_client.hub.stream import Stream

CALL_TIMEOUT_S = 8.0  # a command in an agent's exec tool must answer within 10 s
OPEN_TIMEOUT_S = 10.0  # of a stream: name, connection, TLS and the head of the answer
DEAD_S = 8  # where there is another hub to go to, the loss of a hub's host is noticed within this
SUCCESS = range(200, 300)


class HubClient:
    """The hub as one token sees it.

    Args:
        url: base address from the settings.
        token: called for each request, so that a rotated token is used without a restart.
        ca_file: CA certificate of an https hub.
        deadline: by when all calls have to be done; None for no such limit.
        opened: gets each call's connection, which another thread may close to end the call.

    Attributes:
        date: the Date header of the last answer, for ages without a common clock.
    """

    def __init__(
        self,
        url: str,
        token: Callable[[], str],
        *,
        ca_file: str | None = None,
        deadline: Optional[Deadline] = None,
        opened: Optional[Callable[[http1.Connection], None]] = None,
    ) -> None:
        self.url = url
        self.date = ""
        self._deadline = deadline
        self._opened = opened
        self._server = http1.Server(url, ca_file=ca_file)
        self._token = token

    @property
    def clients(self) -> tuple[HubClient, ...]:
        """All hubs of the fleet: this one."""
        return (self,)

    @property
    def way(self) -> str:
        """How the hub was reached last: the address that answered, and those that did not."""
        dialer = self._server.dialer
        if dialer.taken is None:
            return ""
        slow = "".join(f", {ip} did not answer" for ip in dialer.slow)
        return f"{dialer.taken.ip}{slow}"

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: object = None,
        timeout_s: float = CALL_TIMEOUT_S,
        connect_s: float | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:  # noqa: ANN401 - decoded JSON
        """Return the decoded answer; None for one without a body.

        `connect_s` is how long the connection may take, where there is another hub to go on to.

        Raises:
            HubUnreachableError: no complete answer came.
            HubRefusedError: the status is not 2xx.
        """
        raw = None if body is None else json.dumps(body).encode()
        sent: list[bool] = []
        deadline = self._until(timeout_s)
        try:
            answer = http1.exchange(
                self._server,
                method,
                path + encode_query(query or {}),
                headers=self._headers("application/json", body=raw, more=headers),
                body=raw,
                deadline=deadline,
                connect_s=connect_s,
                sent=sent,
                opened=self._opened,
            )
        except (OSError, HttpError) as error:
            raise _unreachable(self.url, error, sent=bool(sent)) from error
        self.date = answer.headers.get("date", "")
        if answer.status not in SUCCESS:
            raise _refusal(answer.status, answer.headers, answer.body)
        try:
            return json.loads(answer.body) if answer.body else None
        except ValueError as error:
            raise HubUnreachableError(self.url, "the answer is no JSON", sent=True) from error

    def message(self, message_id: str) -> dict[str, Any]:
        """Return one message with its deliveries.

        Raises:
            ClientError: see `call`.
        """
        found: dict[str, Any] = self.call("GET", f"/api/messages/{quoted(message_id)}")
        return found

    def certificate_ends(self, *, timeout_s: float) -> float | None:
        """Return when the hub's certificate ends (epoch seconds); None without TLS.

        Raises:
            HubUnreachableError: no connection was made, or the certificate cannot be trusted.
        """
        if not self._server.origin.tls:
            return None
        try:
            connection = http1.Connection(self._server, self._until(timeout_s))
        except (OSError, HttpError) as error:
            raise _unreachable(self.url, error, sent=False) from error
        try:
            return connection.certificate_ends()
        finally:
            connection.close()

    def open_stream(
        self,
        query: Mapping[str, object],
        *,
        last_event_id: str | None,
        timeout_s: float = OPEN_TIMEOUT_S,
        connect_s: float | None = None,
    ) -> Stream:
        """Return an open stream; for `connect_s` see `call`.

        Where there is another hub to go to (`connect_s` is set), a dead host is noticed sooner.

        Raises:
            HubUnreachableError: no answer came.
            HubRefusedError: the status is not 200.
        """
        from agent_bus_client.hub.stream import Stream  # calls need none of it

        headers = self._headers("text/event-stream")
        if last_event_id:
            headers["Last-Event-ID"] = last_event_id
        connection = None
        deadline = Deadline.after(timeout_s)
        try:
            connection = http1.Connection(self._server, deadline, connect_s=connect_s)
            path = "/api/stream" + encode_query(query)
            connection.send("GET", path, headers=headers)
            head = connection.read_head()
            if head.status == 200:  # noqa: PLR2004 - 204 would mean "do not come back"
                if connect_s is not None:
                    connection.notice_death(DEAD_S)
                return Stream(connection, head, self.url)
            body = http1.read_all(connection, head, deadline=deadline)
        except (OSError, HttpError) as error:
            if connection:
                connection.close()
            raise _unreachable(self.url, error, sent=connection is not None) from error
        connection.close()
        raise _refusal(head.status, head.headers, body)

    def _until(self, timeout_s: float) -> Deadline:
        """Return by when a call with this timeout has to be done."""
        if self._deadline is None:
            return Deadline.after(timeout_s)
        return self._deadline.within(timeout_s)

    def _headers(
        self, accept: str, *, body: bytes | None = None, more: dict[str, str] | None = None
    ) -> dict[str, str]:
        headers = {
            "Authorization": f"Bearer {self._token()}",
            "Accept": accept,
            "User-Agent": f"agent-bus-client/{release.current()}",
        }
        if body is not None:
            headers["Content-Type"] = "application/json"
        return {**headers, **(more or {})}


def encode_query(query: Mapping[str, object]) -> str:
    """Return `?a=1&b=x%20y`; parameters that are None are left out, and `?` if none is left."""
    pairs = [f"{name}={quoted(value)}" for name, value in query.items() if value is not None]
    return "?" + "&".join(pairs) if pairs else ""


def _unreachable(url: str, error: Exception, *, sent: bool) -> HubUnreachableError:
    from agent_bus_client.hub.trouble import unreachable  # only what fails needs it

    return unreachable(url, error, sent=sent)


def _refusal(status: int, headers: dict[str, str], body: bytes) -> HubRefusedError:
    from agent_bus_client.hub.trouble import refusal  # as above

    return refusal(status, headers, body)
