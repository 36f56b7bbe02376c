"""Hubs of tests are forked from a process that has imported their modules (`tests/support`)."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.hub import REPOSITORY, running
from tests.support.nursery import FILES

if TYPE_CHECKING:
    from pathlib import Path

PREPARED = "from tests.support import nursery; nursery.prepare(); import sys; print(*sys.modules)"


def test_a_forked_hub_has_nothing_of_its_own_left_to_import(tmp_path: Path) -> None:
    """A module that moved out of the nursery's sight once cost each of 300 hubs half a second."""
    done = subprocess.run(
        [sys.executable, "-c", PREPARED],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(FILES)},
        capture_output=True,
        text=True,
        check=True,
    )
    with running(tmp_path, {"PYTHONPROFILEIMPORTTIME": "1"}) as hub:
        assert hub.client(None).get("/api/agents").status == 200
        hub.hang_up()
        hub.stop()
    told = [line.rpartition("|")[2].strip() for line in hub.log().splitlines() if "|" in line]
    own = {name for name in told if name.partition(".")[0] == "agent_bus"}
    assert "agent_bus.api.routes" in own
    assert own <= set(done.stdout.split())
