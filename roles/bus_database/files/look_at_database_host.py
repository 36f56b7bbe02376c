"""Print what a hub has for the database's cluster; run there as root, Python 3.9 and newer.

Words of the command line: the packages that it needs. Only if one is missing, the answer has
what the control node's apt needs to know of this host.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import pathlib
import platform
import subprocess
import sys

KEYS = ("/etc/apt/trusted.gpg.d", "/etc/apt/keyrings", "/usr/share/keyrings")
STATUS = pathlib.Path("/var/lib/dpkg/status")


def output(*command: str) -> str:
    """Return what a command prints; empty if it fails or is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout if done.returncode == 0 else ""


def is_installed(package: str) -> bool:
    """Tell whether a package is there and configured."""
    return output("dpkg-query", "-W", "-f=${db:Status-Abbrev}", package).strip() == "ii"


def release() -> str:
    """Return the distribution and its version, such as `debian 12`."""
    lines = pathlib.Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    said = dict(line.split("=", 1) for line in lines if "=" in line)
    return f"{said.get('ID', '?')} {said.get('VERSION_ID', '?')}".replace('"', "")


def texts(folder: str, *patterns: str) -> dict[str, pathlib.Path]:
    """Return the files of a folder by path."""
    found = [path for pattern in patterns for path in sorted(pathlib.Path(folder).glob(pattern))]
    return {str(path): path for path in found if path.is_file()}


def for_apt() -> dict[str, object]:
    """Return what apt has to know of this host to fetch packages for it elsewhere."""
    sources = texts(
        "/etc/apt", "sources.list", "sources.list.d/*.list", "sources.list.d/*.sources"
    )
    keys: dict[str, pathlib.Path] = {}
    for folder in KEYS:
        keys.update(texts(folder, "*.gpg", "*.asc", "*.pgp"))
    status = STATUS.read_bytes()
    return {
        "arch": output("dpkg", "--print-architecture").strip(),
        "status": base64.b64encode(status).decode(),
        "installed": hashlib.sha256(status).hexdigest(),
        "sources": {name: path.read_text(encoding="utf-8") for name, path in sources.items()},
        "keys": {
            name: base64.b64encode(path.read_bytes()).decode() for name, path in keys.items()
        },
    }


missing = [name for name in sys.argv[1:] if not is_installed(name)]
clusters = sorted(str(path) for path in pathlib.Path("/etc/postgresql").glob("*/*"))
etcd = output("systemctl", "show", "etcd.service", "--property=ActiveState,LoadState")
print(
    json.dumps(
        {
            "release": release(),
            "python": "{}.{}".format(*sys.version_info[:2]),
            "new_enough": sys.version_info >= (3, 11),
            "venv": importlib.util.find_spec("venv") is not None,
            "machine": platform.machine(),
            "missing": missing,
            "clusters": clusters,
            "foreign_etcd": "ActiveState=active" in etcd,
            "half_installed": bool(output("dpkg", "--audit").strip()),
            **(for_apt() if missing else {}),
        }
    )
)
