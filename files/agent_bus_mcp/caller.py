"""What tools need of the bus, whichever side they run on."""

from __future__ import annotations

TYPE_CHECKING = False  # without `typing`, the start is a quarter shorter
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import Any, Protocol

    class Bus(Protocol):
        """The bus as one agent sees it, for one call of a tool."""

        @property
        def agent(self) -> str:
            """Who calls.

            Raises:
                RefusedError: that cannot be told.
            """

        @property
        def lost(self) -> Collection[str]:
            """Ids of messages that were fetched, but whose page never reached the agent."""

        def render(self, words: Callable[[], str]) -> str:
            """Return what a long page says, without keeping others waiting."""

        def now(self) -> float:
            """Return the hub's time, in epoch seconds."""

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

        def message(self, message_id: str) -> dict[str, Any]:
            """Return one message with its deliveries.

            Raises:
                RefusedError: see `call`.
            """

        def deliver(self, request: dict[str, Any], key: str | None, reply_to: str | None) -> Sent:
            """Send the body of `POST /api/send`; as a reply, to the sender of that message.

            Raises:
                RefusedError: it was not sent, or may not have been.
            """

        def notices(self) -> list[str]:
            """Return what the agent should hear besides, each once: mail that was given up."""


class Told:
    """What a tool says; `shown` are the ids of the messages whose bodies it shows."""

    __slots__ = ("shown", "words")

    def __init__(self, words: str, shown: tuple[str, ...] = ()) -> None:
        self.words = words
        self.shown = shown


NOTHING = Told("")


class Sent:
    """What has become of a message.

    Attributes:
        is_sent: the hub has it; otherwise it waits in the outbox.
    """

    __slots__ = ("is_sent", "words")

    def __init__(self, words: str, *, is_sent: bool) -> None:
        self.words = words
        self.is_sent = is_sent


class RefusedError(Exception):
    """A call did not succeed.

    Attributes:
        words: what happened and what to do, for the agent.
        code: the problem's code, or what this side calls it.
        is_unknown: it may have been carried out all the same.
    """

    def __init__(self, words: str, *, code: str = "", is_unknown: bool = False) -> None:
        super().__init__(words)
        self.words = words
        self.code = code
        self.is_unknown = is_unknown
