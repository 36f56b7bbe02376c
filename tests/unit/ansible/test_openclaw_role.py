"""Role openclaw_bus as a play runs it; what its module does is in test_openclaw_gateway.py."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

from lab.paths import ROOT, tool

if TYPE_CHECKING:
    from pathlib import Path

PLAY = """
- hosts: localhost
  gather_facts: false
  connection: local
  tasks:
    - ansible.builtin.import_role: {name: openclaw_bus, tasks_from: compare}
    - ansible.builtin.import_role: {name: openclaw_bus}
    - ansible.builtin.debug:
        msg: "{{ 'rolled' if openclaw_bus_gateway.differs | default(false) else 'left alone' }}"
"""


def test_a_host_that_is_switched_off_is_not_even_looked_at(tmp_path: Path) -> None:
    (tmp_path / "play.yml").write_text(PLAY)
    variables = {
        "openclaw_bus_enabled": False,
        "openclaw_bus_user": "nobody-of-that-name",
        "openclaw_bus_secrets_dir": str(tmp_path),
        "agents": ["alpha"],
    }
    given = ["--extra-vars", json.dumps(variables)]
    done = subprocess.run(
        [tool("ansible-playbook"), "-i", "localhost,", str(tmp_path / "play.yml"), *given],
        env={
            **os.environ,
            "ANSIBLE_ROLES_PATH": str(ROOT / "roles"),
            "ANSIBLE_LIBRARY": str(ROOT / "library"),
            "ANSIBLE_NOCOLOR": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "left alone" in done.stdout
    assert "changed=0" in done.stdout
