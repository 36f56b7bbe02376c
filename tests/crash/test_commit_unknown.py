"""The disk fails within a commit: every sender hears of it, and the same key finds out later."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tests.support.hub import REPOSITORY, HubProcess, Reply, running
from tests.support.patience import patience

if TYPE_CHECKING:
    from pathlib import Path

SENDERS = 8
DISK = """\
import os
import apsw
from tests.support.faults import FaultyDisk

class Syncs:
    def __iter__(self):
        return self

    def __next__(self):
        if os.path.exists({broken!r}):
            return apsw.IOError("the disk is gone")
        raise StopIteration

disk = FaultyDisk()
disk.syncs = Syncs()
"""


def send(hub: HubProcess, number: int) -> Reply:
    """Send with a key of its own, over a connection of its own."""
    return hub.client("n2").post(
        "/api/send", {"to": "delta", "body": f"body {number}"}, Idempotency_Key=f"key-{number}"
    )


def test_senders_are_told_that_it_is_unknown_and_the_same_keys_make_one_message_each(
    tmp_path: Path,
) -> None:
    broken = tmp_path / "broken"
    (tmp_path / "sitecustomize.py").write_text(DISK.format(broken=str(broken)))
    path = f"{tmp_path}:{REPOSITORY / 'files'}:{REPOSITORY}"
    with running(tmp_path, {"PYTHONPATH": path}) as hub:
        before = hub.client("n2").send("before", to="delta")
        broken.touch()
        with ThreadPoolExecutor(SENDERS) as pool:
            replies = list(pool.map(lambda number: send(hub, number), range(SENDERS)))
        assert {(r.status, r.body["code"]) for r in replies} == {(503, "commit_unknown")}
        assert all(int(reply.headers["retry-after"]) > 0 for reply in replies)
        assert hub.process is not None
        assert hub.process.wait(patience()) == 70
        broken.unlink()
        hub.start()  # as systemd does: it reads what is on the disk
        again = [send(hub, number) for number in range(SENDERS)]
        assert {reply.status for reply in again} <= {200, 201}
        page = hub.client("n3").get("/api/inbox?agent=delta&limit=500").body["messages"]
        bodies = [message["body"] for message in page]
        assert sorted(bodies) == sorted(["before", *(f"body {n}" for n in range(SENDERS))])
        assert before["id"] in {message["id"] for message in page}
        assert {reply.body["id"] for reply in again} < {message["id"] for message in page}
