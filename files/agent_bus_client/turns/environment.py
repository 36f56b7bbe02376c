"""The environment of a turn: nothing is inherited but what is said here."""

from __future__ import annotations

import os
import re
from pathlib import Path

from agent_bus_client.errors import SettingsError

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    import pwd

FOLDERS = ("/usr/local/bin", "/usr/bin", "/bin")
OWN_FOLDERS = (".local/bin", ".npm-global/bin", "bin")
"""Below the home: where installers put a user's own programs."""
LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)")
QUOTES = "\"'"


def of(user: pwd.struct_passwd, file: str) -> dict[str, str]:
    """Return the variables of a turn.

    Raises:
        SettingsError: the file cannot be read or has a line that is no `NAME=value`.
    """
    home = user.pw_dir
    own = [f"{home}/{folder}" for folder in OWN_FOLDERS]
    found = {
        "HOME": home,
        "USER": user.pw_name,
        "LOGNAME": user.pw_name,
        "SHELL": "/bin/sh",
        "LANG": "C.UTF-8",
        "PATH": os.pathsep.join([*own, *FOLDERS]),
    }
    return {**found, **(_read(Path(file)) if file else {})}


def _read(path: Path) -> dict[str, str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise SettingsError(f"{path}: {reason}") from error
    found = {}
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        match = LINE.fullmatch(line)
        if match is None or "\0" in line:
            raise SettingsError(f"{path}:{number}: a line NAME=value is expected")
        name, value = match.groups()
        quoted = len(value) > 1 and value[0] == value[-1] and value[0] in QUOTES
        found[name] = value[1:-1] if quoted else value
    return found
