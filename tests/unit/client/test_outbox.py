from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from agent_bus_client.errors import ClientError
from agent_bus_client.outbox import MAX_WAITING, Outbox

if TYPE_CHECKING:
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


def test_a_full_outbox_refuses(tmp_path: Path) -> None:
    for number in range(MAX_WAITING):
        (tmp_path / f"{number}.json").touch()
    with pytest.raises(ClientError, match="away for long"):
        Outbox(tmp_path).add("k", {"from": "alpha", "body": "x"})
