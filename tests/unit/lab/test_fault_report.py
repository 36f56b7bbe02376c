from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lab.faults.report import Report, Row, table

if TYPE_CHECKING:
    from pathlib import Path

ROW = Row("hub killed", "SIGKILL", 0.1, ("no answer", "online"), 40, 40, 0, 3.21, "")


def test_a_row_says_what_was_done_and_what_came_of_it() -> None:
    bad = Row("power lost", "all", 2.0, ("offline",), 9, 8, 1, None, "1 not stored: http 3")
    head, rule, first, second = table([ROW, bad]).splitlines()
    assert {len(line) for line in (head, rule, first, second)} == {len(head)}
    cells = [cell.strip() for cell in first.strip("| ").split("|")]
    assert cells[3:] == ["no answer, online", "40", "40", "0", "3.2 s", "passed"]
    assert "| no " in second
    assert "1 not stored: http 3" in second


def test_a_run_that_breaks_off_leaves_its_rows(tmp_path: Path) -> None:
    report = Report(tmp_path / "new")
    report.add([ROW])
    facts = json.loads((tmp_path / "new" / "faults.json").read_text())
    assert [entry["fault"] for entry in facts["faults"]] == ["hub killed"]
    assert "hub killed" in (tmp_path / "new" / "faults.md").read_text()
