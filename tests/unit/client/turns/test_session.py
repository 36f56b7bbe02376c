from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent_bus_client.turns import session
from agent_bus_client.turns.session import Session

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    known = Session("u1", "codex", "/work", 2, "no key", proven=True)
    session.save(tmp_path, known)
    assert session.load(tmp_path) == known
    assert [path.name for path in tmp_path.iterdir()] == [session.NAME]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"id": 1, "waker": "", "folder": "", "failures": 0}']
)
def test_a_file_that_is_broken_is_no_session(tmp_path: Path, text: str) -> None:
    (tmp_path / session.NAME).write_text(text)
    assert session.load(tmp_path) == Session()


def test_a_value_of_another_kind_is_no_session(tmp_path: Path) -> None:
    session.save(tmp_path, Session("u1", failures=1))
    path = tmp_path / session.NAME
    path.write_text(path.read_text().replace('"failures": 1', '"failures": true'))
    assert session.load(tmp_path) == Session()
