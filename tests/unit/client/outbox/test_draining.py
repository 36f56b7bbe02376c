from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent_bus_client.hub.transport import HubClient
from agent_bus_client.outbox.draining import Drained, drain
from agent_bus_client.outbox.folder import Outbox
from tests.support.played_hub import PlayedHub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.client.outbox.conftest import Machine


BUDGET = (429, {"code": "thread_budget_exhausted", "detail": "The thread has 50 replies."})
ANSWERS = {"budget": BUDGET, "broken": (500, {"code": "internal"}), "refused": (404, {})}


@pytest.fixture
def hub() -> Iterator[PlayedHub]:
    """Answer each message as its body says, and accept all others."""
    with PlayedHub(lambda _method, _path, body: ANSWERS.get(body["body"], (201, {}))) as played:
        yield played


def drained(box: Outbox, hub: PlayedHub) -> Drained:
    return drain(box, HubClient(hub.url, lambda: "token"))


def fill(box: Outbox, *letters: tuple[str, str]) -> None:
    """Put (sender, body) after (sender, body) into the box."""
    for number, (sender, body) in enumerate(letters):
        box.add(f"key{number}", {"from": sender, "to": "gamma", "body": body})


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    """An outbox whose failed/ is a file: not even root can write into it."""
    folder = tmp_path / "outbox"
    folder.mkdir()
    (folder / "failed").touch()
    return folder


def test_a_spent_thread_stops_only_its_own_reply(tmp_path: Path, hub: PlayedHub) -> None:
    box = Outbox(tmp_path)
    fill(box, ("alpha", "budget"), ("alpha", "after it"))
    assert drained(box, hub) == Drained(sent=1, failed=1, waiting=0)
    (failed,) = box.failed()
    assert "thread_budget_exhausted" in failed.reason


def test_a_hub_that_fails_is_tried_again_and_the_order_kept(
    tmp_path: Path, hub: PlayedHub
) -> None:
    box = Outbox(tmp_path)
    fill(box, ("alpha", "broken"), ("alpha", "after it"), ("beta", "of another"))
    assert drained(box, hub) == Drained(sent=1, failed=0, waiting=2)
    assert [body["body"] for body in hub.bodies] == ["broken", "of another"]


def test_what_cannot_be_given_up_holds_back_its_sender_alone(
    locked: Path, hub: PlayedHub, caplog: pytest.LogCaptureFixture
) -> None:
    box = Outbox(locked)
    fill(box, ("alpha", "refused"), ("alpha", "after it"), ("beta", "of another"))
    assert drained(box, hub) == Drained(sent=1, failed=0, waiting=2)
    assert [entry.request["body"] for entry in box.waiting()] == ["refused", "after it"]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert not list(locked.glob("*.tmp"))


def test_what_expired_meanwhile_is_given_up_and_nothing_else_changed(
    tmp_path: Path, machine: Machine, hub: PlayedHub
) -> None:
    box = Outbox(tmp_path, clock=machine.clock)
    for expires_in_s in (60, 3600):
        request = {"from": "alpha", "to": "beta", "body": "x", "expires_in_s": expires_in_s}
        box.add(f"key{expires_in_s}", request)
    machine.wait(61)
    assert drained(box, hub) == Drained(sent=1, failed=1, waiting=0)
    assert [body["expires_in_s"] for body in hub.bodies] == [3600]
    assert [failed.reason for failed in box.failed()] == ["expired before the hub was back"]


@pytest.mark.parametrize("key", ["job/7", "../../escape", "k" * 255, ".", "a b"])
def test_any_key_can_wait_and_fail(tmp_path: Path, hub: PlayedHub, key: str) -> None:
    box = Outbox(tmp_path / "outbox")
    (tmp_path / "outbox").mkdir()
    request = {"from": "alpha", "to": "beta", "body": "refused"}
    assert Path(box.add(key, request).path).parent == tmp_path / "outbox"
    assert [entry.key for entry in box.waiting()] == [key]
    assert drained(box, hub).failed == 1
    box.told(box.failed()[0])
    assert box.told_count() == 1
    assert [path.name for path in tmp_path.iterdir()] == ["outbox"]


def test_what_an_older_release_left_is_sent_in_its_place(tmp_path: Path, hub: PlayedHub) -> None:
    box = Outbox(tmp_path)
    for number in range(3):
        entry = box.add(f"key{number}", {"from": "alpha", "to": "beta", "body": f"{number}"})
        if number == 1:  # its names held the key
            Path(entry.path).rename(tmp_path / f"{entry.name[:20]}-{entry.key}.json")
    assert drained(box, hub) == Drained(sent=3, failed=0, waiting=0)
    assert [body["body"] for body in hub.bodies] == ["0", "1", "2"]


ANOTHER = os.geteuid() + 4711
"""A user who wrote none of the files."""


def told(box: Outbox, hub: PlayedHub, *, writers: dict[str, int], judges: bool) -> Drained:
    client = HubClient(hub.url, lambda: "token")
    return drain(box, client, own={"alpha": client}, writers=writers, judges=judges)


def test_a_token_of_an_agents_own_sends_only_what_its_user_wrote(
    tmp_path: Path, hub: PlayedHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Outbox(tmp_path)
    fill(box, ("alpha", "by somebody else"), ("beta", "by the node's token"))
    monkeypatch.setattr(os, "geteuid", lambda: ANOTHER)  # who drains has not written it either
    writers = {"alpha": ANOTHER + 1}
    for entry in box.waiting():
        if entry.written_by == 0:  # root may write for all
            os.chown(entry.path, ANOTHER + 2, -1)
    assert told(box, hub, writers=writers, judges=False) == Drained(sent=1, failed=0, waiting=1)
    assert told(box, hub, writers=writers, judges=True) == Drained(sent=0, failed=1, waiting=0)
    (failed,) = box.failed()
    assert failed.reason == "the file may be by another user than alpha's"
    assert [body["from"] for body in hub.bodies] == ["beta"]


def test_what_its_user_wrote_goes_out_and_what_others_could_have_changed_does_not(
    tmp_path: Path, hub: PlayedHub
) -> None:
    box = Outbox(tmp_path)
    fill(box, ("alpha", "mine"), ("alpha", "changed"))
    first, second = box.waiting()
    assert first.written_by == os.geteuid()
    Path(second.path).chmod(0o664)
    writers = {"alpha": os.geteuid()}
    assert told(box, hub, writers=writers, judges=True) == Drained(sent=1, failed=1, waiting=0)
    assert [entry.request["body"] for entry in box.failed()] == ["changed"]


def test_what_is_no_file_is_skipped_and_nobody_waits_for_it(
    tmp_path: Path, hub: PlayedHub, caplog: pytest.LogCaptureFixture
) -> None:
    box = Outbox(tmp_path)
    os.mkfifo(tmp_path / "1.json")
    (tmp_path / "2.json").symlink_to("/etc/hostname")
    fill(box, ("alpha", "hello"))
    assert drained(box, hub).sent == 1
    assert caplog.text.count("outbox file was unreadable") == 2
