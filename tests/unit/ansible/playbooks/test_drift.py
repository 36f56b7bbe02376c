from __future__ import annotations

from typing import Any

import pytest

from playbooks.callback_plugins.drift import complaint, lines

FILE = {"before_header": "/etc/x", "after_header": "/etc/x"}


@pytest.mark.parametrize(
    ("diff", "words"),
    [
        ({**FILE, "before": "", "after": "all of it\n"}, "/etc/x: is missing"),
        ({**FILE, "before": "(present)\n", "after": ""}, "/etc/x: should not be there"),
        (
            {**FILE, "before": "", "after": "(owner, group or mode)\n"},
            "/etc/x: has another owner or mode",
        ),
        (
            {**FILE, "before": "a\nport 1\n", "after": "a\nport 2\n"},
            "/etc/x: port 1 -> port 2",
        ),
        (
            {**FILE, "before": "a\nb\n", "after": "c\nd\ne\n"},
            "/etc/x: 2 lines differ from 3 that should be there",
        ),
        ({"before": {"state": "stopped"}, "after": {"state": "started"}}, None),
    ],
)
def test_each_difference_is_one_line(diff: dict[str, Any], words: str | None) -> None:
    expected = words or 'Start it: {"state": "stopped"} -> {"state": "started"}'
    assert list(lines("nuc", "Start it", {"diff": [diff]})) == [f"nuc: {expected}"]


def test_a_change_without_a_diff_is_told_by_its_task() -> None:
    assert list(lines("nuc", "Start it", {"changed": True})) == ["nuc: Start it"]


def test_a_secret_is_not_shown() -> None:
    diff = {**FILE, "before": "", "after": "(secret)\n"}
    assert list(lines("nuc", "Place the tokens", {"diff": [diff]})) == [
        "nuc: /etc/x: is missing or holds another secret"
    ]


def test_a_failure_is_told_with_what_its_command_said() -> None:
    failed = {"msg": "non-zero return code", "rc": 1, "stderr": "no room\nleft\n"}
    assert complaint(failed) == "non-zero return code no room left"
