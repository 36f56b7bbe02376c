"""What the hub is asked about its Python, before there is anything of the bus on it."""

from __future__ import annotations

import json
import platform
import subprocess
import sys

from lab.paths import ROOT


def test_looking_needs_nothing_but_a_python() -> None:
    program = ROOT / "roles" / "message_bus" / "files" / "look_at_python.py"
    command = [sys.executable, "-I", "-S", "-c", program.read_text()]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["python"] == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert (found["new_enough"], found["machine"]) == (True, platform.machine())
    assert {name: type(found[name]) for name in ("venv", "has_firewall")} == {
        "venv": bool,
        "has_firewall": bool,
    }
