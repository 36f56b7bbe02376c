from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from agent_bus_client.hub import cursor
from agent_bus_client.hub.cursor import Cursor

if TYPE_CHECKING:
    from pathlib import Path


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "cursor.json"
    saved = Cursor("ab12", 7, ("alpha", "beta"))
    cursor.save(path, saved)
    assert cursor.load(path, ("beta", "alpha")) == saved
    assert saved.event_id == "ab12-7"
    assert [p.name for p in tmp_path.iterdir()] == ["cursor.json"]


def test_another_list_of_agents_means_no_cursor(tmp_path: Path) -> None:
    path = tmp_path / "cursor.json"
    cursor.save(path, Cursor("ab12", 7, ("alpha",)))
    assert cursor.load(path, ("alpha", "beta")) is None


def test_no_file_is_quiet(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert cursor.load(tmp_path / "cursor.json", ("alpha",)) is None
    assert not caplog.records


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"epoch": 1}', b"\xff\xfe", b'{"seq": "x"}'])
def test_a_corrupted_file_is_loud_and_no_cursor(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, raw: bytes
) -> None:
    path = tmp_path / "cursor.json"
    path.write_bytes(raw)
    assert cursor.load(path, ("alpha",)) is None
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@pytest.mark.parametrize(
    ("event_id", "place"),
    [("ab-7", ("ab", 7)), ("a-b-7", ("a-b", 7)), ("7", None), ("-7", None), ("ab-x", None)],
)
def test_event_ids_are_parsed(event_id: str, place: tuple[str, int] | None) -> None:
    assert cursor.parse_event_id(event_id) == place
