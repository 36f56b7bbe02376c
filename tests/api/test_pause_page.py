"""Every line for the hub's shell on the pages about pauses and budgets, run as it stands."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest

from tests.api.test_wakes import admin
from tests.support.hub import REPOSITORY, HubProcess, running

if TYPE_CHECKING:
    from collections.abc import Iterator

LINES = [
    line
    for page in ("pause", "limit-wakes")
    for line in re.findall(
        r"^ +sudo agent-bus-admin (.+)$",
        (REPOSITORY / f"docs/how-to/{page}.md").read_text(),
        re.MULTILINE,
    )
]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """A hub with the names of the pages."""
    with running(tmp_path_factory.mktemp("hub")) as one:
        groups = {"household": ["chef"]}
        assert one.enrol({"n1": ("chef", "alpha")}, groups=groups, force=True).status == 200
        yield one


@pytest.mark.parametrize("line", LINES)
def test_the_line_works_as_it_stands(line: str, hub: HubProcess) -> None:
    done = admin(hub, *shlex.split(line, comments=True))
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_pages_have_such_lines() -> None:
    assert {shlex.split(line)[0] for line in LINES} == {"pause", "pauses", "resume", "wakes"}
