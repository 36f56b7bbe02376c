"""What runs on a hub while it moves to PostgreSQL: it ends with one database or the other.

The script, the move and PostgreSQL are real. What starts and stops the bus is a stand-in.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.support import postgres
from tests.support.patience import patience
from tests.support.store import draft, enrolled, opened

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "roles" / "message_bus" / "files" / "move.sh"
SYSTEMCTL = """#!/bin/sh
settings=$MOVE_ROOT/etc/agent-bus/hub.json
kind=$(grep -o 'postgresql:\\|bus.db' "$settings" | head -1)
echo "$* $kind" >>"$MOVE_ROOT/said"
[ "$1 $kind" = "start postgresql:" ] && [ -e "$MOVE_ROOT/refuses" ] && exit 1
exit 0
"""
PYTHON = f"""#!/bin/sh
case "$*" in *" stats") echo '{{}}'; exit ;; esac
exec {sys.executable} "$@"
"""


class Host:
    """A hub's files below a folder, with three messages in SQLite and a PostgreSQL beside them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = root / "var/lib/agent-bus-hub"
        self.etc = root / "etc/agent-bus"
        self.next = self.etc / "next"
        for folder in (self.state, self.next, root / "etc/systemd/system", root / "bin"):
            folder.mkdir(parents=True)
        for release in ("old", "new"):
            home = root / "opt/agent-bus/releases" / release
            self._program(home / "venv/bin/python", PYTHON)
            (home / "agent_bus").symlink_to(ROOT / "files" / "agent_bus")
        (root / "opt/agent-bus/current").symlink_to("releases/old")
        self._program(root / "bin/systemctl", SYSTEMCTL)
        tokens = root / "tokens"
        tokens.write_text("0" * 64 + "\n")
        common = {"admin_tokens_file": str(tokens)}
        self.file = {"database": str(self.state / "bus.db"), **common}
        self.postgres = {
            "database": postgres.database(root),
            "data_folder": str(self.state),
            **common,
        }
        (self.etc / "hub.json").write_text(json.dumps(self.file))
        (self.next / "hub.json").write_text(json.dumps(self.postgres))
        (root / "etc/systemd/system/agent-bus.service").write_text("old\n")
        (self.next / "agent-bus.service").write_text("new\n")
        with opened(self.state) as store:
            enrolled(store)
            for number in range(3):
                store.send(draft(body=f"b{number}"), depth_limit=2)

    def _program(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def move(self) -> int:
        path = f"{self.root / 'bin'}:{os.environ['PATH']}"
        done = subprocess.run(
            ["/bin/sh", str(SCRIPT), str(self.next), "new"],
            env={**os.environ, "PATH": path, "MOVE_ROOT": str(self.root)},
            check=False,
            timeout=4 * patience(),
        )
        return done.returncode

    @property
    def settings(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.etc / "hub.json").read_text())
        return found

    @property
    def release(self) -> str:
        return (self.root / "opt/agent-bus/current").readlink().name

    def said(self) -> list[str]:
        return (self.root / "said").read_text().splitlines()

    def words(self) -> str:
        return (self.next / "words").read_text()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_it_ends_with_postgresql_and_the_file_is_put_aside(host: Host) -> None:
    assert host.move() == 0
    report = json.loads((host.next / "report.json").read_text())
    assert report["moved"]["rows"]["message"] == 3
    assert report["moved"]["seq"] == 3
    assert report["away_ms"] >= report["filling_ms"] > 0
    assert (host.settings, host.release) == (host.postgres, "new")
    assert host.said() == [
        "stop agent-bus.service bus.db",
        "daemon-reload postgresql:",
        "start agent-bus.service postgresql:",
    ]
    assert not (host.state / "bus.db").exists()
    kept = apsw.Connection(report["file"])
    assert kept.execute("SELECT count(*) FROM message").fetchall() == [(3,)]
    kept.close()
    assert Path(report["moved"]["backup"]).parent == host.state / "backups"


def test_a_move_that_cannot_be_backed_up_changes_nothing(host: Host) -> None:
    (host.state / "backups").touch()
    assert host.move() != 0
    assert "The bus goes on with its SQLite file" in host.words()
    assert (host.settings, host.release) == (host.file, "old")
    assert host.said() == ["stop agent-bus.service bus.db", "start agent-bus.service bus.db"]
    (host.state / "backups").unlink()
    assert host.move() == 0


def test_a_bus_that_does_not_start_with_postgresql_goes_back_to_its_file(host: Host) -> None:
    (host.root / "refuses").touch()
    assert host.move() != 0
    assert "did not start with PostgreSQL" in host.words()
    assert (host.settings, host.release) == (host.file, "old")
    assert (host.root / "etc/systemd/system/agent-bus.service").read_text() == "old\n"
    assert host.said()[-1] == "start agent-bus.service bus.db"
    with opened(host.state) as store:
        store.send(draft(body="later"), depth_limit=2)
    (host.root / "refuses").unlink()
    assert host.move() == 0
    assert json.loads((host.next / "report.json").read_text())["moved"]["seq"] == 4


def test_a_bus_that_has_taken_messages_in_postgresql_stays_there(host: Host) -> None:
    (host.root / "refuses").touch()
    taken = f"""#!/bin/sh
case "$*" in *--only-compare) exit 1 ;; *" stats") echo '{{}}'; exit ;; esac
exec {sys.executable} "$@"
"""
    host._program(host.root / "opt/agent-bus/releases/new/venv/bin/python", taken)
    assert host.move() != 0
    assert "so it stays with PostgreSQL" in host.words()
    assert host.settings == host.postgres
    assert (host.state / "bus.db").exists()
