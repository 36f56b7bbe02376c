"""The hub beside its peers: all servers run at the same time, and take turns round by round."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench import scenarios
from bench.peers import NotAvailableError
from bench.peers.fastapi_sqlite import FastApi
from bench.peers.jetstream import JetStream
from bench.peers.mosquitto import Mosquitto
from bench.peers.naive import Naive
from bench.peers.ours import Ours
from bench.peers.redis_streams import RedisStreams, ValkeyStreams
from bench.turns import CACHE, order

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from bench.measure import Times
    from bench.peers import Peer
    from bench.scenarios import Post

PEERS: Final[tuple[type[Peer], ...]] = (
    *(Ours, JetStream, RedisStreams, ValkeyStreams, Mosquitto, FastApi, Naive),
)


@dataclass(frozen=True)
class Work:
    """One row; `few` is the count for a peer that takes a second per message."""

    name: str
    what: str
    count: int
    few: int
    run: Callable[..., Awaitable[Times]]


async def _fleet(post: Post, *, count: int) -> Times:
    return await scenarios.fleet(post, seconds=count)


WORKS: Final = (
    Work("rest", "one message in flight", 300, 10, scenarios.at_rest),
    Work("load", "32 keep-alive senders, 256 bytes", 8000, 1600, scenarios.load),
    Work("broadcast", "a broadcast, to the last of 9 streams", 100, 5, scenarios.fan_out),
    Work("fleet", "19 agents, 5 messages/s each", 10, 10, _fleet),
)


async def compare(
    wanted: Sequence[str], kinds: Sequence[type[Peer]], *, rounds: int, scale: float
) -> dict[str, dict[str, Any]]:
    """Row -> peer -> the figures of each round, or why it was not run."""
    found: dict[str, dict[str, Any]] = {
        work.name: {kind.name: [] for kind in kinds} for work in WORKS if work.name in wanted
    }
    async with contextlib.AsyncExitStack() as stack:
        posts: dict[str, Post] = {}
        for kind in kinds:
            try:
                posts[kind.name] = await _stand(kind(), stack)
            except NotAvailableError as error:
                for row in found.values():
                    row[kind.name] = {"not_run": str(error)}
        for work in (work for work in WORKS if work.name in found):
            for number in range(rounds):
                for name in order(number, posts):
                    count = work.few if posts[name].peer.is_slow else work.count
                    times = await work.run(posts[name], count=max(1, int(count * scale)))
                    found[work.name][name].append(times.figures())
                    print(f"  {work.name} {name}: {times.figures()}", file=sys.stderr, flush=True)
    return found


async def _stand(peer: Peer, stack: contextlib.AsyncExitStack) -> Post:
    folder = stack.enter_context(tempfile.TemporaryDirectory(dir=CACHE))
    stack.push_async_callback(peer.stop)
    await peer.start(Path(folder))
    return await stack.enter_async_context(scenarios.opened(peer))
