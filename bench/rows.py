"""What `make bench` measures of the hub beside another revision of it: one row per kind of work.

A row gives figures by name; `FIGURES` says what they mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from bench import ours_only, scenarios

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from bench.peers import Sender
    from bench.peers.ours import Ours
    from bench.scenarios import Post

    Connect = Callable[[Ours], Callable[[str], Awaitable[Sender]]]

FIGURES: Final = {
    "server_us": "server us/msg",
    "client_us": "client us/msg",
    "per_s": "messages/s",
    "p50_ms": "p50 ms",
    "pss_mib": "memory (PSS), MiB",
    "stream_kib": "an idle stream, KiB",
    "gone_s": "descriptors gone, s",
    "gone_cpu_ms": "their CPU, ms",
}
"""The figures that are compared, and their names in a table."""
STREAMS: Final = 1000


@dataclass(frozen=True)
class Row:
    """One kind of work; `count` is how many messages a round has.

    `posted` rows share a hub with open streams; the others get one for each round, and have at
    most `rounds` of them, since they take long.
    """

    name: str
    what: str
    count: int
    posted: Callable[..., Awaitable[dict[str, Any]]] | None = None
    alone: Callable[..., Awaitable[dict[str, Any]]] | None = None
    tls: bool = False
    rounds: int = 1000

    async def measure(self, ours: Ours, post: Post | None, *, scale: float) -> dict[str, Any]:
        """One round; what a hub of its own does is never scaled, as memory would not scale."""
        if self.posted is not None:
            assert post is not None
            return await self.posted(post, ours, max(1, int(self.count * scale)))
        assert self.alone is not None
        return await self.alone(ours, self.count)


async def _load(
    post: Post, ours: Ours, count: int, *, connect: Connect | None = None, recipients: int = 1
) -> dict[str, Any]:
    senders = None if connect is None else connect(ours)
    times = await scenarios.load(post, count=count, recipients=recipients, connect=senders)
    return times.figures()


async def _rest(post: Post, _ours: Ours, count: int) -> dict[str, Any]:
    return (await scenarios.at_rest(post, count=count)).figures()


async def _broadcast(post: Post, _ours: Ours, count: int) -> dict[str, Any]:
    return (await scenarios.fan_out(post, count=count)).figures()


async def _memory(ours: Ours, count: int) -> dict[str, Any]:
    return await ours_only.memory(ours, messages=count, streams=STREAMS)


async def _closes(ours: Ours, count: int) -> dict[str, Any]:
    return await ours_only.closes(ours, streams=count)


def chosen(names: Sequence[str]) -> list[Row]:
    """The rows of these names, in the order of the table; all without a name.

    Raises:
        SystemExit: there is no such row.
    """
    known = [row.name for row in ROWS]
    if unknown := [name for name in names if name not in known]:
        raise SystemExit(f"no such row: {', '.join(unknown)}; there are {', '.join(known)}")
    return [row for row in ROWS if not names or row.name in names]


ROWS: Final = (
    Row("load", "32 keep-alive senders, 256 bytes", 1600, _load),
    Row("key", "with an Idempotency-Key", 1600, partial(_load, connect=lambda o: o.key_sender)),
    Row(
        "key-close",
        "a key, and a new connection for each message, as `agent-bus send` does",
        800,
        partial(_load, connect=lambda ours: ours.command_sender),
    ),
    Row("list", "to a list of 3 agents", 800, partial(_load, recipients=3)),
    Row("reply", "a reply", 1600, partial(_load, connect=lambda ours: ours.reply_sender)),
    Row("tls", "TLS, kept alive", 1600, _load, tls=True),
    Row("rest", "one message in flight", 400, _rest),
    Row("broadcast", "a broadcast to 18 agents on 9 streams", 100, _broadcast),
    Row(
        "memory",
        f"10,000 messages, then {STREAMS:,} idle streams",
        10_000,
        None,
        _memory,
        rounds=1,
    ),
    Row("closes", f"{STREAMS:,} streams that their peers close", STREAMS, None, _closes, rounds=3),
)
