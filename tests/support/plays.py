"""Tasks of the project, run by ansible-playbook on this machine with made-up variables."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import yaml

from lab.paths import ROOT, tool

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

FILTERS = [ROOT / "filter_plugins", *sorted(ROOT.glob("roles/*/filter_plugins"))]
Done = subprocess.CompletedProcess[str]


def task_of(file: str, name: str) -> dict[str, Any]:
    """Return the task of that name from a file of tasks, or of a playbook's plays."""
    entries = yaml.safe_load((ROOT / file).read_text(encoding="utf-8"))
    tasks = [task for entry in entries for task in entry.get("tasks", [entry])]
    found: dict[str, Any] = next(task for task in tasks if task.get("name") == name)
    return found


def tasks_in(entries: object) -> Iterator[dict[str, Any]]:
    """Give each play or task of a parsed file, also those inside of plays and blocks."""
    for entry in entries if isinstance(entries, list) else ():
        yield entry
        for key in ("tasks", "block", "rescue", "always", "pre_tasks", "post_tasks"):
            yield from tasks_in(entry.get(key))


def hosts_of(playbook: str, name: str) -> str:
    """Return which hosts the play of that name is for."""
    plays = yaml.safe_load((ROOT / playbook).read_text(encoding="utf-8"))
    return str(next(one["hosts"] for one in plays if one["name"] == name))


def play(
    tasks: Sequence[Mapping[str, Any]],
    folder: Path,
    *,
    variables: Mapping[str, Any] | None = None,
    hosts: str = "localhost",
    inventory: Sequence[str] = ("localhost,",),
    roles: Path = ROOT / "roles",
    options: Sequence[str] = (),
) -> Done:
    """Run the tasks in a play of their own and return the result.

    Args:
        folder: where the play is written to.
        variables: extra variables, which win over all others.
        roles: where the tasks find roles.
        options: more words for ansible-playbook, such as `--check`.
    """
    file = folder / "play.yml"
    head = {"hosts": hosts, "gather_facts": False, "connection": "local", "tasks": [*tasks]}
    first = {"hosts": "all", "gather_facts": False}  # `hosts` of the first play knows no hostvars
    file.write_text(json.dumps([first, head]), encoding="utf-8")
    sources = [word for source in inventory for word in ("-i", str(source))]
    given = ["--extra-vars", json.dumps(dict(variables or {}))]
    return subprocess.run(
        [tool("ansible-playbook"), *sources, str(file), *given, *options],
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_ROLES_PATH": str(roles),
            # a task that stands alone has no role beside it
            "ANSIBLE_FILTER_PLUGINS": os.pathsep.join(map(str, FILTERS)),
            "ANSIBLE_NOCOLOR": "1",
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
