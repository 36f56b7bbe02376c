"""The bus for one call of a tool at the hub; see `agent_bus_mcp/caller.py: Bus`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from agent_bus.core import errors
from agent_bus.runtime import greenlets
from agent_bus_mcp.caller import RefusedError, Sent
from agent_bus_mcp.words.message import answering
from agent_bus_mcp.words.record import sent_words

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Mapping

    from agent_bus.core.clock import Clock
    from agent_bus.core.model import AgentName
    from agent_bus.http.call import AnyCall
    from agent_bus.mcp.inner import Inner

T = TypeVar("T")


class HubBus:
    """Calls the API for one agent, as a part of one request.

    Args:
        refusals: counts problems by code, for the metrics.
    """

    lost = frozenset[str]()

    def __init__(
        self,
        outer: AnyCall,
        agent: AgentName,
        *,
        inner: Inner,
        clock: Clock,
        refusals: Counter[str],
    ) -> None:
        self.agent: str = agent
        self._outer = outer
        self._inner = inner
        self._clock = clock
        self._refusals = refusals

    def now(self) -> float:
        """The hub's own time."""
        return self._clock.now_ms() / 1000

    def render(self, words: Callable[[], str]) -> str:
        """Long pages are put into words in a native thread, so that the loop goes on."""
        return greenlets.offload(words)

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:  # noqa: ANN401 - decoded JSON
        """What the API answers.

        Raises:
            RefusedError: a problem.
        """
        try:
            return self._inner.call(
                self._outer, method, path, query=query, body=body, headers=headers
            )
        except errors.BusError as error:
            self._refusals[error.code] += 1
            raise refused(error) from error

    def message(self, message_id: str) -> dict[str, Any]:
        """One message with its deliveries.

        Raises:
            RefusedError: it is not there, or not this agent's to see.
        """
        found: dict[str, Any] = self.call(
            "GET", f"/api/messages/{quote(message_id, safe='', errors='replace')}"
        )
        return found

    def deliver(self, request: dict[str, Any], key: str | None, reply_to: str | None) -> Sent:
        """Send now: the hub has no outbox for those who reach it.

        Raises:
            RefusedError: it was not sent, or may not have been.
        """
        if reply_to is not None:
            request = answering(request, self.message(reply_to))
            if request["to"] == self.agent:
                words = f"{reply_to} is your own message: tool send instead"
                raise RefusedError(words, code="usage")
        sent = self.call("POST", "/api/send", body=request, headers=_keyed(key))
        return Sent(sent_words(sent), is_sent=True)

    def begin_deliver(
        self, request: dict[str, Any], key: str | None, done: Callable[[Callable[[], Sent]], None]
    ) -> None:
        """As `deliver`, in the loop itself, for what is no reply.

        `done` gets what returns the outcome, or raises `RefusedError`.

        Raises:
            greenlets.MustWaitError: it has to wait for something; nothing has come of it so far.
        """

        def sent(found: Any) -> None:  # noqa: ANN401 - decoded JSON, or an error
            def outcome() -> Sent:
                if isinstance(found, errors.BusError):
                    self._refusals[found.code] += 1
                    raise refused(found) from found
                if isinstance(found, Exception):
                    raise found
                return Sent(sent_words(found), is_sent=True)

            done(outcome)

        try:
            self._inner.begin(
                self._outer, "/api/send", body=request, headers=_keyed(key), done=sent
            )
        except errors.BusError as error:
            sent(error)

    def notices(self) -> list[str]:
        """Nothing: nobody's mail waits outside of the hub."""
        return []


def _keyed(key: str | None) -> dict[str, str]:
    return {} if key is None else {"idempotency-key": key}


def refused(error: errors.BusError) -> RefusedError:
    """What a tool says of a problem."""
    words = f"{error.detail} ({error.code})"
    is_unknown = isinstance(error, errors.CommitUnknownError)
    return RefusedError(words, code=error.code, is_unknown=is_unknown)
