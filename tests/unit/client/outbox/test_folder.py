from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import pytest

from agent_bus_client.errors import ClientError
from agent_bus_client.outbox.folder import MAX_WAITING, Outbox

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.client.outbox.conftest import Machine


def test_messages_wait_in_the_order_of_sending_and_the_group_reads_them(tmp_path: Path) -> None:
    box = Outbox(tmp_path)
    for number in range(5):
        box.add(f"key{number}", {"from": "alpha", "body": str(number)})
    waiting = box.waiting()
    assert [entry.request["body"] for entry in waiting] == list("01234")
    assert waiting[0].sender == "alpha"
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o644}


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


def test_the_order_is_that_of_sending_though_the_clock_is_set_back(
    tmp_path: Path, machine: Machine
) -> None:
    box = Outbox(tmp_path, clock=machine.clock)
    for number in range(4):
        box.add(f"key{number}", {"from": "alpha", "body": str(number)})
        machine.wall_s -= 86_400
    assert [entry.request["body"] for entry in box.waiting()] == list("0123")


def test_a_full_outbox_refuses(tmp_path: Path) -> None:
    for number in range(MAX_WAITING):
        (tmp_path / f"{number}.json").touch()
    with pytest.raises(ClientError, match="away for long"):
        Outbox(tmp_path).add("k", {"from": "alpha", "body": "x"})


def test_two_programs_that_give_up_one_message_do_not_disturb_each_other(tmp_path: Path) -> None:
    box = Outbox(tmp_path)
    entry = box.add("k", {"from": "alpha", "body": "x"})
    (tmp_path / "failed").mkdir()
    stranger = (tmp_path / "failed" / entry.name).with_suffix(".tmp")
    stranger.mkdir()  # what another program is writing
    box.give_up(entry, "no such agent")
    assert [failed.reason for failed in box.failed()] == ["no such agent"]
    assert list((tmp_path / "failed").glob("*.tmp")) == [stranger]


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_who_may_not_look_sees_nothing(tmp_path: Path) -> None:
    """A user who was logged in before the rollout put it into the group."""
    tmp_path.chmod(0o700)
    Outbox(tmp_path).add("key", {"from": "alpha", "body": "x"})
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        box = Outbox(tmp_path)
        os._exit(len(box.waiting()) + len(box.failed()) + box.told_count())
    assert os.waitpid(child, 0)[1] == 0
