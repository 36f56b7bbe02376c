"""Check how many hubs there are, and whose database they have.

Reads what Ansible knows, and one file that it names. What it finds has the form of
preflight_values.py's findings.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

ALONE, TOGETHER = 1, (3, 5)
MOST = max(TOGETHER)
DATABASE = "message_bus_database"
AUTHORITY = "message_bus_database_ca"
OF_ALL_HUBS = (DATABASE, "message_bus_tls")
"""What makes several hubs one bus for everybody else."""
URL = re.compile(r"postgres(ql)?://\S+")
PASSWORD = re.compile(r"://[^/@:]*:[^/@]+@|[?&]password=")
Finding = dict[str, Any]


def hub_findings(
    groups: Mapping[str, Sequence[str]], hostvars: Mapping[str, Mapping[str, Any]]
) -> list[Finding]:
    """Return why these hubs cannot be one bus; nothing for one hub without a database URL."""
    hubs = list(groups.get("hub", []))
    variables = {hub: hostvars[hub] for hub in hubs}
    databases = [str(found.get(DATABASE) or "") for found in variables.values()]
    found = [*_differing(variables), *_urls(hubs, databases), *_authorities(variables)]
    if len(hubs) > ALONE and not any(databases):
        found += _count(hubs)
    return found


def _count(hubs: Sequence[str]) -> Iterator[Finding]:
    """Find a number of hubs that survives no more than a smaller number does."""
    if len(hubs) in TOGETHER:
        return
    what = f"group 'hub' has {len(hubs)} hosts ({', '.join(hubs)})"
    if len(hubs) > MOST:
        says = f"{what}; more than five make each commit slower and nothing safer, so keep five"
    else:
        fewer = len(hubs) - 1
        says = (
            f"{what}. That is no safer than {fewer}, because more than half of them have to live. "
            f"Take one out or add one, so that there are one, three or five. (With {DATABASE}, a "
            "PostgreSQL that somebody else runs, any number will do.)"
        )
    yield {"keys": ["hub", hubs[1]], "says": says}


def _differing(variables: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    for name in OF_ALL_HUBS:
        values = [found.get(name) for found in variables.values()]
        if any(value != values[0] for value in values):
            says = f"{name} is not the same for all hubs; set it once, in group_vars/hub.yml"
            yield {"keys": [name], "says": says}


def _urls(hubs: Sequence[str], databases: Sequence[str]) -> Iterator[Finding]:
    for hub, database in zip(hubs, databases, strict=True):
        if database and not URL.fullmatch(database):
            says = (
                f"{DATABASE} of {hub} is not the address of a PostgreSQL, like "
                "postgresql://agent_bus@db.example:5432/agent_bus"
            )
            yield {"keys": [hub, DATABASE], "says": says}
        elif PASSWORD.search(database):
            says = (
                f"{DATABASE} of {hub} has a password in it, which would be in hub.json and in "
                "logs; put it into message_bus_database_password, encrypted by Ansible Vault"
            )
            yield {"keys": [hub, DATABASE], "says": says}


def _authorities(variables: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    """Find files of an authority that are not there: no hub could verify its database."""
    for path in {str(own[AUTHORITY]) for own in variables.values() if own.get(AUTHORITY)}:
        if not _is_authority(Path(path)):
            says = f"{AUTHORITY}: {path} on this machine is no file with a certificate (PEM)"
            yield {"keys": [AUTHORITY], "says": says}


def _is_authority(path: Path) -> bool:
    try:
        return path.is_absolute() and "BEGIN CERTIFICATE" in path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"hub_findings": hub_findings}
