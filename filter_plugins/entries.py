"""What is to be on a host, as entries for module host_files: their digest, and a host's marks."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Entry = dict[str, Any]
WANTED_AT_BOOT = "/etc/systemd/system/multi-user.target.wants"


def digest_of(entries: Sequence[Mapping[str, Any]], release: str) -> str:
    """Return the SHA-256 of a release and all that it is started with, in hex."""
    texts = [[entry["path"], entry.get("target") or entry.get("content")] for entry in entries]
    return hashlib.sha256(json.dumps([release, texts]).encode()).hexdigest()


def with_marks(
    entries: Sequence[Mapping[str, Any]], release: str, home: str, unit: str
) -> list[Entry]:
    """Return the entries with what only a complete host has besides.

    That is the note of what passed its gate there last (library/releases.py writes it), and the
    unit's link for the boot.

    Args:
        entries: all that the host consists of.
        release: name of the release.
        home: folder of the releases on the host.
        unit: name of the unit.
    """
    note = f"{release} {digest_of(entries, release)}\n"
    link = f"{WANTED_AT_BOOT}/{unit}"
    return [
        *map(dict, entries),
        {"path": f"{home}/APPLIED", "content": note, "mode": "0644"},
        {"path": link, "state": "link", "target": f"/etc/systemd/system/{unit}"},
    ]


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"digest_of": digest_of, "with_marks": with_marks}
