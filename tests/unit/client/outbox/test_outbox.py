from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from agent_bus_client.errors import ClientError, HubRefusedError
from agent_bus_client.hub.transport import HubClient
from agent_bus_client.outbox.clock import Clock, boot_id
from agent_bus_client.outbox.draining import MAX_AGE_S, Drained, drain
from agent_bus_client.outbox.folder import MAX_WAITING, Outbox
from tests.support.played_hub import PlayedHub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def test_messages_wait_in_the_order_of_sending_and_are_for_the_group(tmp_path: Path) -> None:
    box = Outbox(tmp_path)
    for number in range(5):
        box.add(f"key{number}", {"from": "alpha", "body": str(number)})
    waiting = box.waiting()
    assert [entry.request["body"] for entry in waiting] == list("01234")
    assert waiting[0].sender == "alpha"
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o664}


def test_what_failed_is_told_once_and_counted_after(tmp_path: Path) -> None:
    box = Outbox(tmp_path)
    box.give_up(box.add("k", {"from": "alpha", "body": "x"}), "no such agent")
    assert box.waiting() == []
    (failed,) = box.failed()
    assert failed.reason == "no such agent"
    box.told(failed)
    assert box.failed() == []
    assert box.told_count() == 1


def test_a_broken_file_is_loud_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    box = Outbox(tmp_path)
    (tmp_path / "0-broken.json").write_text("{")
    box.add("k", {"from": "alpha", "body": "x"})
    assert len(box.waiting()) == 1
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_a_missing_folder_is_empty_and_cannot_be_written(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "missing")
    assert box.waiting() == []
    with pytest.raises(OSError, match="No such file"):
        box.add("k", {"from": "alpha", "body": "x"})


class Machine:
    """A machine whose wall clock somebody sets."""

    def __init__(self) -> None:
        self.wall_s, self.counted_s, self.boot = 1_790_000_000.0, 100.0, "first"
        self.clock = Clock(lambda: self.wall_s, lambda: self.counted_s, lambda: self.boot)

    def wait(self, seconds: float) -> None:
        self.wall_s += seconds
        self.counted_s += seconds

    def reboot(self) -> None:
        self.counted_s, self.boot = 5.0, "second"


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.mark.parametrize("jump_s", [86_400.0, -86_400.0, 40 * 365 * 86_400.0])
def test_a_wall_clock_that_is_set_ages_nothing(
    tmp_path: Path, machine: Machine, jump_s: float
) -> None:
    box = Outbox(tmp_path, clock=machine.clock)
    box.add("k", {"from": "alpha", "body": "x"})
    machine.wall_s += jump_s
    machine.wait(MAX_AGE_S - 1)
    (entry,) = box.waiting()
    assert box.age_s(entry) == MAX_AGE_S - 1
    machine.wait(2)
    assert box.age_s(entry) > MAX_AGE_S


def test_over_a_reboot_the_wall_is_believed(tmp_path: Path, machine: Machine) -> None:
    box = Outbox(tmp_path, clock=machine.clock)
    entry = box.add("k", {"from": "alpha", "body": "x"})
    machine.wait(3600)
    machine.reboot()
    assert box.age_s(entry) == 3600


def test_the_order_is_that_of_sending_though_the_clock_is_set_back(
    tmp_path: Path, machine: Machine
) -> None:
    box = Outbox(tmp_path, clock=machine.clock)
    for number in range(4):
        box.add(f"key{number}", {"from": "alpha", "body": str(number)})
        machine.wall_s -= 86_400
    assert [entry.request["body"] for entry in box.waiting()] == list("0123")


def test_both_programs_know_the_boot_by_the_same_name(monkeypatch: pytest.MonkeyPatch) -> None:
    here = boot_id()
    assert len(here) == 32
    monkeypatch.setenv("AGENT_BUS_BOOT", here)  # systemd's %b
    assert boot_id() == here


def test_a_full_outbox_refuses(tmp_path: Path) -> None:
    for number in range(MAX_WAITING):
        (tmp_path / f"{number}.json").touch()
    with pytest.raises(ClientError, match="away for long"):
        Outbox(tmp_path).add("k", {"from": "alpha", "body": "x"})


BUDGET = (429, {"code": "thread_budget_exhausted", "detail": "The thread has 50 replies."})
ANSWERS = {"budget": BUDGET, "broken": (500, {"code": "internal"}), "refused": (404, {})}


@pytest.fixture
def hub() -> Iterator[PlayedHub]:
    """Answer a message as its body says; accept any other."""
    with PlayedHub(lambda _method, _path, body: ANSWERS.get(body["body"], (201, {}))) as played:
        yield played


def drained(box: Outbox, hub: PlayedHub) -> Drained:
    return drain(box, HubClient(hub.url, lambda: "token"))


def fill(box: Outbox, *letters: tuple[str, str]) -> None:
    """Put (sender, body) after (sender, body) into the box."""
    for number, (sender, body) in enumerate(letters):
        box.add(f"key{number}", {"from": sender, "to": "gamma", "body": body})


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


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [
        (429, "thread_budget_exhausted", 1),
        (404, "unknown_agent", 1),
        (403, "forbidden", 77),
        *((status, "anything", 75) for status in (408, 429, 500, 502, 503, 504, 507)),
    ],
)
def test_only_what_can_pass_is_for_later(status: int, code: str, exit_code: int) -> None:
    error = HubRefusedError(status, {"code": code}, retry_after_s=None)
    assert error.exit_code == exit_code
    assert error.later == (exit_code == 75)


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    """An outbox whose failed/ cannot be written: not even root may write into a file."""
    folder = tmp_path / "outbox"
    folder.mkdir()
    (folder / "failed").touch()
    return folder


def test_what_cannot_be_given_up_holds_back_its_sender_alone(
    locked: Path, hub: PlayedHub, caplog: pytest.LogCaptureFixture
) -> None:
    box = Outbox(locked)
    fill(box, ("alpha", "refused"), ("alpha", "after it"), ("beta", "of another"))
    assert drained(box, hub) == Drained(sent=1, failed=0, waiting=2)
    assert [entry.request["body"] for entry in box.waiting()] == ["refused", "after it"]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert not list(locked.glob("*.tmp"))


def test_two_programs_that_give_up_one_message_do_not_disturb_each_other(tmp_path: Path) -> None:
    box = Outbox(tmp_path)
    entry = box.add("k", {"from": "alpha", "body": "x"})
    (tmp_path / "failed").mkdir()
    stranger = (tmp_path / "failed" / entry.path.name).with_suffix(".tmp")
    stranger.mkdir()  # what another program is writing
    box.give_up(entry, "no such agent")
    assert [failed.reason for failed in box.failed()] == ["no such agent"]
    assert list((tmp_path / "failed").glob("*.tmp")) == [stranger]


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
    box.folder.mkdir()
    request = {"from": "alpha", "to": "beta", "body": "refused"}
    assert box.add(key, request).path.parent == box.folder
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
            entry.path.rename(tmp_path / f"{entry.path.name[:20]}-{entry.key}.json")
    assert drained(box, hub) == Drained(sent=3, failed=0, waiting=0)
    assert [body["body"] for body in hub.bodies] == ["0", "1", "2"]
