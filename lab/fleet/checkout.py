"""Changed copies of this project: what an operator gets with `git pull`."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

from lab.paths import ROOT, fleet_dir

if TYPE_CHECKING:
    from pathlib import Path

PARTS = (
    "action_plugins",
    "ansible.cfg",
    "files",
    "filter_plugins",
    "library",
    "lookup_plugins",
    "playbooks",
    "requirements-channels.txt",
    "requirements-patroni.txt",
    "requirements-postgres.txt",
    "requirements.txt",
    "roles",
    "site.yml",
    "templates",
)


def copy(fleet: str, version: str) -> Path:
    """Return a fresh copy with another version in it; built releases are shared."""
    folder = fleet_dir(fleet) / "checkouts" / version
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(
                source,
                folder / part,
                symlinks=True,  # playbooks/roles has to lead to the copy's roles
                ignore=shutil.ignore_patterns("__pycache__", "*.pyc"),
            )
        else:
            shutil.copy(source, folder / part)
    (folder / ".cache").symlink_to(ROOT / ".cache")
    for package in ("agent_bus", "agent_bus_client"):
        change(
            folder / "files" / package / "__init__.py",
            r'__version__ = "[^"]*"',
            f'__version__ = "{version}"',
        )
    return folder


def version() -> str:
    """Return the version of this checkout."""
    text = (ROOT / "files" / "agent_bus" / "__init__.py").read_text()
    found = re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE)
    if found is None:
        raise ValueError("agent_bus/__init__.py has no __version__")
    return found[1]


def change(file: Path, pattern: str, replacement: str) -> None:
    """Replace the first match in a file; there has to be one."""
    text, count = re.subn(pattern, replacement, file.read_text(), count=1)
    if not count:
        raise ValueError(f"{file} has nothing like {pattern}")
    file.write_text(text)
