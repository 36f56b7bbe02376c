"""The bus for one call of a tool: the hub, or all of them, and the outbox behind it."""

from __future__ import annotations

import time

from agent_bus_client.errors import (
    ClientError,
    HubRefusedError,
    HubUnreachableError,
    OutcomeUnknownError,
)
from agent_bus_client.hub import trouble
from agent_bus_client.hub.hubs import Hubs
from agent_bus_client.hub.transport import CALL_TIMEOUT_S, HubClient
from agent_bus_client.net import lookup
from agent_bus_client.net.deadline import Deadline
from agent_bus_client.outbox import clock, draining
from agent_bus_client.outbox.delivery import Sender, failure_words, new_key
from agent_bus_client.outbox.folder import TO_SENDER_OF, Outbox
from agent_bus_client.settings import writers_of
from agent_bus_mcp.caller import RefusedError, Sent
from agent_bus_mcp.words import text

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import Any, Optional

    from agent_bus_client.mcp.node import Node
    from agent_bus_client.net.http1 import Connection

LOADED = (trouble, lookup, clock, draining)
"""Not only when something fails: by then, a rollout may have removed this release's folder."""
ANSWER_S = 9.0  # of a tool, beside what it was asked to wait: other requests wait meanwhile
ONE_MORE_TRY_S = 1.0  # a call takes milliseconds while the hub is there
MOST_NOTICES = 20  # so many fit into an answer


class NodeBus:
    """See `agent_bus_mcp/caller.py: Bus`.

    Args:
        lost: ids of messages whose page never reached the agent.
        wait_s: how long the tool may wait for mail.
        opened: gets each connection to a hub, which another thread may close.
    """

    def __init__(
        self,
        node: Node,
        *,
        lost: Collection[str] = (),
        wait_s: float = 0.0,
        opened: Optional[Callable[[Connection], None]] = None,
    ) -> None:
        settings = node.settings
        self._settings = settings
        self.agent = node.agent(settings)
        self.lost = lost
        self._outbox = Outbox(settings.outbox_dir)
        self._wait_s = wait_s
        self._deadline = Deadline.after(ANSWER_S + wait_s)

        def token() -> str:
            return node.token(self.agent, settings)

        self._hub: HubClient | Hubs
        if len(settings.hubs) == 1:
            self._hub = HubClient(
                settings.hub_url,
                token,
                ca_file=settings.hub_ca_file,
                deadline=self._deadline,
                opened=opened,
            )
        else:
            self._hub = Hubs.of(settings, token, deadline=self._deadline, opened=opened)

    def render(self, words: Callable[[], str]) -> str:
        """Return what a long page says: nobody else waits here."""
        return words()

    def now(self) -> float:
        """Return the hub's time; before its first answer, this machine's."""
        date = text.parse_http_date(self._hub.date)
        here = time.time()
        # The header has whole seconds: up to 2 s of difference are rounding, not another clock.
        return here if date is None or abs(date - here) <= 2 else date  # noqa: PLR2004

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: Mapping[str, object] | None = None,
    ) -> Any:  # noqa: ANN401 - decoded JSON
        """Return the hub's decoded answer.

        Raises:
            RefusedError: there is none, or it is a problem.
        """
        wait_s = self._wait_s if (query or {}).get("wait_s") else 0.0
        try:
            return self._hub.call(
                method, path, query=query, body=body, timeout_s=CALL_TIMEOUT_S + wait_s
            )
        except ClientError as error:
            found = refused(error)
            if found.is_unknown and path == "/api/inbox":
                found.words += (
                    "; its mail may count as shown, so look with: tool inbox with all true"
                )
            raise found from error

    def message(self, message_id: str) -> dict[str, Any]:
        """Return one message with its deliveries.

        Raises:
            RefusedError: see `call`.
        """
        try:
            return self._hub.message(message_id)
        except ClientError as error:
            raise refused(error) from error

    def deliver(self, request: dict[str, Any], key: str | None, reply_to: str | None) -> Sent:
        """Send a message, after what waits in the outbox, or keep it there.

        Raises:
            RefusedError: it was not sent, or may not have been.
        """
        if reply_to is not None:
            request = {**request, TO_SENDER_OF: reply_to}
        notes: list[str] = []
        sender = Sender(
            self._hub,
            self._outbox,
            has_time=self._has_time,
            note=notes.append,
            writers=lambda: writers_of(self._settings),
        )
        try:
            done = sender.deliver(request, key or new_key())
        except ClientError as error:
            found = refused(error)
            found.words = "\n".join([*notes, found.words])
            raise found from error
        return Sent(done.words, is_sent=done.sent is not None)

    def notices(self) -> list[str]:
        """Return what the outbox has given up, each message once."""
        own = [entry for entry in self._outbox.failed() if entry.sender == self.agent]
        told = [failure_words(self._outbox, entry) for entry in own[:MOST_NOTICES]]
        return [words.replace("--key", "key") for words in told if words]

    def _has_time(self) -> bool:
        return self._deadline.left_s() >= ONE_MORE_TRY_S


def refused(error: ClientError) -> RefusedError:
    """Return what a tool says of a failed call."""
    words = text.escape(str(error))
    if isinstance(error, OutcomeUnknownError):
        words = (
            f"it is not known whether the message arrived, the hub at {error.url} did not say:"
            f" {error.reason}; sent again with key {error.key} it arrives once"
        )
        return RefusedError(words, code=error.code, is_unknown=True)
    if isinstance(error, HubRefusedError):
        return RefusedError(words, code=error.problem, is_unknown=error.is_ambiguous)
    if isinstance(error, HubUnreachableError):
        words += "\nlook: run `agent-bus doctor` on this machine"
        return RefusedError(words, code=error.code, is_unknown=error.sent)
    return RefusedError(words, code=error.code)
