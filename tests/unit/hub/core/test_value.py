"""Values: plain to make, the same to compare, and frozen for the type checker."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from agent_bus.core.model import value

if TYPE_CHECKING:
    from pathlib import Path

ASSIGNS = """
from agent_bus.core.model import AgentName, MailboxCounts, Seq
box = MailboxCounts(AgentName("a"), 1, 1, Seq(1))
box.unread = 2
"""


@value
class Point:
    x: int
    y: int = 0


def test_a_value_is_compared_and_hashed_by_its_fields() -> None:
    assert Point(1) == Point(1, 0) != Point(2)
    assert {Point(1), Point(1, 0), replace(Point(2), x=1)} == {Point(1)}


def test_a_value_has_its_fields_and_no_others() -> None:
    point: Any = Point(1)
    with pytest.raises(AttributeError):
        point.z = 1


def test_the_type_checker_lets_nobody_change_a_value(tmp_path: Path) -> None:
    program = tmp_path / "assigns.py"
    program.write_text(ASSIGNS, encoding="utf-8")
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path), str(program)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert 'Property "unread" defined in "MailboxCounts" is read-only' in checked.stdout
