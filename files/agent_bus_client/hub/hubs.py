"""All hubs of the fleet as one token sees them: a call goes on to the next hub if one fails.

It goes on when no connection is made within a second, when the hub is not who it should be, and
when it says that it cannot answer now (502 to 504). After a request may have arrived, it goes on
only if the request does no harm when it comes twice. Calls block; `current` is the caller's, so
each thread that goes on by itself has its own `Hubs`.
"""

from __future__ import annotations

from agent_bus_client.errors import (
    ClientError,
    HubRefusedError,
    HubUnreachableError,
    NoHubError,
    NotConnectedError,
)
from agent_bus_client.hub.last_hub import LastHub
from agent_bus_client.hub.order import ordered
from agent_bus_client.hub.transport import CALL_TIMEOUT_S, OPEN_TIMEOUT_S, HubClient
from agent_bus_client.net.http1 import quoted
from agent_bus_client.record import Record

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Callable, Optional, TypeVar

    from agent_bus_client.hub.stream import Stream
    from agent_bus_client.net.deadline import Deadline
    from agent_bus_client.net.http1 import Connection
    from agent_bus_client.settings import Settings

    Answer = TypeVar("Answer")

CONNECT_S = 0.9  # of a hub that is not the last one to ask: over a LAN it takes a millisecond
PATIENT_S = 3.0  # once no hub has connected: a lost SYN is sent again after 1 s
ANSWER_S = 6.0  # a hub answers a send within 5 s, even while its database has no primary
ELSEWHERE = {502, 503, 504}  # another hub may answer this now


class Patience(Record):
    """How long one hub has, in seconds; None for as long as if there were no other."""

    connect_s: Optional[float]
    answer_s: Optional[float]


class Hubs:
    """The hubs in the order in which this node tries them.

    Args:
        last_hub: where a command remembers a hub for the next one; None for no memory.

    Attributes:
        clients: one per hub, the node's first hub first.
        current: the hub that is asked first.
    """

    def __init__(self, clients: tuple[HubClient, ...], *, last_hub: LastHub | None = None) -> None:
        self.clients = clients
        self.current = clients[0]
        self._last_hub = last_hub
        self._noted: Optional[HubClient] = None
        url = last_hub.recall() if last_hub else None
        for client in clients:
            if client.url == url:
                self.current = self._noted = client

    @classmethod
    def of(
        cls,
        settings: Settings,
        token: Callable[[], str],
        *,
        deadline: Deadline | None = None,
        opened: Callable[[Connection], None] | None = None,
    ) -> Hubs:
        """Return the hubs of a node's settings."""
        ca_file = settings.hub_ca_file
        clients = tuple(
            HubClient(url, token, ca_file=ca_file, deadline=deadline, opened=opened)
            for url in ordered(settings.node, settings.hubs)
        )
        several = len(clients) > 1
        return cls(clients, last_hub=LastHub(settings.outbox_dir) if several else None)

    @property
    def url(self) -> str:
        """Base address of the hub that is asked first."""
        return self.current.url

    @property
    def way(self) -> str:
        """How that hub was reached last: see `HubClient`."""
        return self.current.way

    @property
    def date(self) -> str:
        """The Date header of its last answer."""
        return self.current.date

    def apart(self) -> Hubs:
        """Return the same hubs with a `current` of its own, and without a memory."""
        return Hubs(self.clients)

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: object = None,
        timeout_s: float = CALL_TIMEOUT_S,
        headers: dict[str, str] | None = None,
    ) -> Any:  # noqa: ANN401 - decoded JSON
        """Return the decoded answer of the first hub that has one; None for one without a body.

        Raises:
            HubUnreachableError: no hub gave a complete answer.
            HubRefusedError: the status is not 2xx.
        """
        may_repeat = is_harmless(method, path, query or {}, headers or {})
        waits = bool((query or {}).get("wait_s"))  # a long poll takes its time at every hub

        def ask(client: HubClient, patience: Patience) -> Any:  # noqa: ANN401 - as above
            return client.call(
                method,
                path,
                query=query,
                body=body,
                timeout_s=timeout_s if waits else min(timeout_s, patience.answer_s or timeout_s),
                connect_s=patience.connect_s,
                headers=headers,
            )

        return self._first(ask, may_repeat=may_repeat)

    def message(self, message_id: str) -> dict[str, Any]:
        """Return one message with its deliveries.

        Raises:
            ClientError: see `call`.
        """
        found: dict[str, Any] = self.call("GET", f"/api/messages/{quoted(message_id)}")
        return found

    def open_stream(self, query: Mapping[str, object], *, last_event_id: str | None) -> Stream:
        """Return an open stream of the first hub that gives one.

        Raises:
            HubUnreachableError: no answer came.
            HubRefusedError: the status is not 200.
        """

        def ask(client: HubClient, patience: Patience) -> Stream:
            return client.open_stream(
                query,
                last_event_id=last_event_id,
                timeout_s=patience.answer_s or OPEN_TIMEOUT_S,
                connect_s=patience.connect_s,
            )

        return self._first(ask, may_repeat=True)

    def use(self, client: HubClient) -> None:
        """Ask this hub first, also in commands of the next minute."""
        self.current = self._noted = client
        if self._last_hub is None:
            return
        if client is self.clients[0]:
            self._last_hub.forget()
        else:
            self._last_hub.note(client.url)

    def use_same(self, client: HubClient) -> None:
        """Ask the hub first that a client of another token has reached."""
        for own in self.clients:
            if own.url == client.url:
                self.use(own)

    def _first(self, ask: Callable[[HubClient, Patience], Answer], *, may_repeat: bool) -> Answer:
        if len(self.clients) == 1:
            return ask(self.current, Patience(None, None))
        failed: dict[HubClient, ClientError] = {}
        order = [self.current, *(one for one in self.clients if one is not self.current)]
        for client in order:
            is_last = client is order[-1]
            answer_s = None if is_last or not may_repeat else ANSWER_S
            try:
                return self._taken(client, ask(client, Patience(CONNECT_S, answer_s)))
            except (HubUnreachableError, HubRefusedError) as error:
                if not _goes_on(error, may_repeat=may_repeat):
                    if isinstance(error, HubUnreachableError):  # whoever asks again asks another
                        self.use(order[0 if is_last else order.index(client) + 1])
                    raise
                failed[client] = error
        slow = next((one for one, error in failed.items() if _was_slow(error)), None)
        if slow is not None and all(_was_not_reached(error) for error in failed.values()):
            try:
                return self._taken(slow, ask(slow, Patience(PATIENT_S, None)))
            except HubUnreachableError as error:
                failed[slow] = error
        raise _worst(list(failed.values()))

    def _taken(self, client: HubClient, answer: Answer) -> Answer:
        """Return the answer, and ask this hub first from now on."""
        if client is not self._noted:
            self.use(client)
        return answer


def is_harmless(
    method: str, path: str, query: Mapping[str, object], headers: Mapping[str, str]
) -> bool:
    """Tell whether a request may come twice, which nobody notices then.

    A page of the inbox counts as fetched, except for a look: asked for twice, it would show mail
    as if another turn had it in hand.
    """
    if method == "GET":
        return path != "/api/inbox" or bool(query.get("peek"))
    return "Idempotency-Key" in headers or path == "/api/ack"


def _goes_on(error: ClientError, *, may_repeat: bool) -> bool:
    """Tell whether another hub is asked after this."""
    if isinstance(error, HubRefusedError):
        return error.status in ELSEWHERE and (may_repeat or not error.is_ambiguous)
    return may_repeat or not (isinstance(error, HubUnreachableError) and error.sent)


def _was_not_reached(error: ClientError) -> bool:
    return isinstance(error, HubUnreachableError) and not error.sent


def _was_slow(error: ClientError) -> bool:
    """Tell whether a hub was not reached, and has not refused either."""
    cause = error.__cause__
    return isinstance(cause, NotConnectedError) and not cause.refused


def _worst(errors: list[ClientError]) -> ClientError:
    """Return the error that says most: what may have arrived, then what was refused."""
    unknown = [e for e in errors if isinstance(e, HubUnreachableError) and e.sent]
    unknown_refusals = [e for e in errors if isinstance(e, HubRefusedError) and e.is_ambiguous]
    refusals = [e for e in errors if isinstance(e, HubRefusedError)]
    for found in (unknown, unknown_refusals, refusals):
        if found:
            return found[0]
    return NoHubError([e for e in errors if isinstance(e, HubUnreachableError)])
