"""Kill -9 between A2A's requests and their answers: each request is one task, and is answered."""

from __future__ import annotations

import random
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.a2a import Asker
from tests.support.hub import STORE_VARIABLE, HubProcess, running
from tests.support.ledger import BROKEN
from tests.support.patience import wait_until

if TYPE_CHECKING:
    from pathlib import Path

CYCLES = {"sqlite": 6, "postgres": 2}
ASKERS = 8


class Book:
    """What was asked, and the task of each request that was answered."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.tasks: dict[str, str] = {}
        self.unanswered: set[str] = set()

    def ask_until(self, hub: HubProcess, name: str, stop: threading.Event) -> None:
        """One asker: each request with an id of its own, until the hub is gone."""
        asker = Asker(hub.client("n3"), "alpha")
        for number in range(1_000_000):
            if stop.is_set():
                return
            request = f"{name}-{number}"
            try:
                made = asker.send(request, messageId=request)
            except BROKEN:
                with self.lock:
                    self.unanswered.add(request)
                return
            with self.lock:
                self.tasks[request] = made["id"]


def answer_some(hub: HubProcess, dice: random.Random) -> None:
    """Alpha reads its mail and answers some of it."""
    client = hub.client("n1")
    for mail in client.get("/api/inbox?agent=alpha&limit=500").body["messages"]:
        if dice.random() < 0.5:
            answer(client, mail)


def answer(client: Any, mail: dict[str, Any]) -> None:
    reply = {"from": "alpha", "to": "delta", "reply_to": mail["id"]}
    client.send(f"to {mail['body']}", **reply)
    client.post("/api/ack", {"agent": "alpha", "ids": [mail["id"]]})


def one_cycle(hub: HubProcess, cycle: int, book: Book, dice: random.Random) -> None:
    stop = threading.Event()
    askers = [
        threading.Thread(target=book.ask_until, args=(hub, f"{cycle}-{n}", stop))
        for n in range(ASKERS)
    ]
    for asker in askers:
        asker.start()
    goal = len(book.tasks) + dice.randrange(1, 4 * ASKERS)
    wait_until(lambda: len(book.tasks) >= goal, f"{goal} requests are taken")
    hub.kill()
    stop.set()
    for asker in askers:
        asker.join()
    hub.start()
    again = Asker(hub.client("n3"), "alpha")
    for request in book.unanswered:
        book.tasks[request] = again.send(request, messageId=request)["id"]
    book.unanswered.clear()
    answer_some(hub, dice)


@pytest.mark.parametrize("store", CYCLES)
def test_kill_9_between_request_and_answer_loses_and_doubles_nothing(
    tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STORE_VARIABLE, store)
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    book, dice = Book(), random.Random(seed)
    with running(tmp_path, sends_per_s=1e6, send_burst=1_000_000) as hub:
        for cycle in range(CYCLES[store]):
            one_cycle(hub, cycle, book, dice)
        client = hub.client("n1")
        while page := client.get("/api/inbox?agent=alpha&limit=500").body["messages"]:
            for mail in page:
                answer(client, mail)
        asker = Asker(hub.client("n3"), "alpha")
        assert asker.call("ListTasks", {"pageSize": 1})["totalSize"] == len(book.tasks)
        for request, task_id in book.tasks.items():
            done = asker.get(task_id)
            assert done["status"]["state"] == "TASK_STATE_COMPLETED"
            assert done["history"][0]["messageId"] == request
            assert done["artifacts"][0]["parts"] == [{"text": f"to {request}"}]
        asked = Counter(hub.rows("SELECT body FROM message WHERE sender = 'delta'"))
        assert set(asked.values()) == {1}
        print(f"{len(book.tasks)} tasks over {CYCLES[store]} kills: 0 lost, 0 doubled")
