"""Has Apprise tell what channels say, in a process that lives as long as one batch."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from agent_bus import channel_settings
from agent_bus.runtime import greenlets
from agent_bus.webhooks.schedule import AWAY, DELIVERED, Attempt

if TYPE_CHECKING:
    from collections.abc import Sequence

SERVICE_S: Final = 20.0
"""For a service to take a notification."""
PATIENCE_S: Final = 30.0
"""For a whole batch: the start takes a second on a small machine, services work side by side."""
AT_ONCE: Final = 2
"""Processes at once, so that a service that hangs does not keep another one waiting; each takes
45 MB while it lives."""


@dataclass(frozen=True, slots=True)
class Item:
    """A notification for one service. The URL is a secret."""

    url: str = field(repr=False)
    title: str
    text: str


@dataclass(slots=True)
class _Asked:
    item: Item
    done: greenlets.Event = field(default_factory=greenlets.Event)
    attempt: Attempt = field(default_factory=lambda: Attempt(AWAY, "the hub stops"))


class Teller:
    """Starts the processes. For greenlets of the loop."""

    def __init__(
        self, *, command: Sequence[str] = channel_settings.APPRISE, patience_s: float = PATIENCE_S
    ) -> None:
        self._command = command
        self._patience_s = patience_s
        self._asked: list[_Asked] = []
        self._running: set[Any] = set()
        self._runners = 0
        self._is_closed = False

    def tell(self, item: Item) -> Attempt:
        """Have one notification sent, and wait for what comes of it.

        What is asked for at the same moment shares a process.
        """
        asked = _Asked(item)
        if self._is_closed:
            return asked.attempt
        self._asked.append(asked)
        if self._runners < AT_ONCE:
            self._runners += 1
            greenlets.spawn(self._run)
        asked.done.wait()
        return asked.attempt

    def close(self) -> None:
        """Kill what runs; whoever waits is answered that the hub stops."""
        self._is_closed = True
        for process in list(self._running):
            process.kill()
        for asked in self._asked:
            asked.done.set()

    def _run(self) -> None:
        try:
            while self._asked and not self._is_closed:
                batch, self._asked = self._asked, []
                try:
                    self._send(batch)
                finally:
                    for asked in batch:
                        asked.done.set()
        finally:
            self._runners -= 1

    def _send(self, batch: list[_Asked]) -> None:
        items = [
            {"id": number, "url": one.item.url, "title": one.item.title, "text": one.item.text}
            for number, one in enumerate(batch)
        ]
        words = f"no answer within {self._patience_s:g} s"
        try:
            with greenlets.deadline(self._patience_s):
                for answer in self._answers({"verb": "notify", "items": items}):
                    error = answer["error"]
                    batch[answer["id"]].attempt = (
                        Attempt(DELIVERED, "") if error is None else Attempt(AWAY, error)
                    )
                words = "the process that speaks to Apprise has ended without an answer"
        except greenlets.DeadlineError:
            pass
        except (OSError, ValueError, LookupError, TypeError) as error:
            words = f"the process that speaks to Apprise failed: {type(error).__name__}"
        if self._is_closed:
            return
        for one in batch:
            if one.attempt.words == _Asked(one.item).attempt.words:
                one.attempt = Attempt(AWAY, words)

    def _answers(self, batch: dict[str, Any]) -> Any:  # noqa: ANN401 - decoded JSON
        """Yield the answers of one process as they come; it is gone when this ends."""
        process = greenlets.Popen(
            list(self._command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=channel_settings.environment(),
            cwd="/",
        )
        self._running.add(process)
        try:
            process.stdin.write(json.dumps(batch | {"patience_s": SERVICE_S}).encode() + b"\n")
            process.stdin.flush()
            for line in process.stdout:
                yield json.loads(line)
        finally:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()
            self._running.discard(process)
