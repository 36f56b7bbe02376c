"""Ansible module: fetch a distribution's packages for a host, on the control node.

The control node's own apt works here, with the host's sources, keys and list of what is installed,
so that it fetches just what that host lacks. The host then needs no package source. One archive
serves all hosts that are alike.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule

if TYPE_CHECKING:
    from collections.abc import Sequence

DOCUMENTATION = r"""
module: package_archive
short_description: Fetch a distribution's packages for a host, with all that they need
description:
  - Works in the cache folder only, so it never reports a change and does the same in check mode.
options:
  host: {description: What look_at_database_host.py said of the host., type: dict, required: true}
  packages: {description: Names of packages., type: list, elements: str, required: true}
  sources:
    description: Lines of a sources.list to use in place of the host's own.
    type: list
    elements: str
    default: []
  cache: {description: Folder to work in., type: path, required: true}
"""

RETURN = r"""
archive: {description: Path of the archive on the control node., type: str}
folder: {description: Its one folder., type: str}
"""

KEEP_ARCHIVES = 6
FOLDER, FILE = 0o755, 0o644
SIGNED_BY = re.compile(
    r"((?:signed-by=|^Signed-By:\s*))(/\S+?)(?=[\s\],]|$)", re.IGNORECASE | re.MULTILINE
)


def key_of(host: dict[str, Any], packages: Sequence[str], sources: Sequence[str]) -> str:
    """Return 12 hex digits that tell whether two hosts lack the same."""
    facts = [host["release"], host["arch"], host["installed"], host["sources"]]
    text = json.dumps([facts, list(packages), list(sources)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def lay_out(root: Path, host: dict[str, Any], sources: Sequence[str]) -> list[str]:
    """Make a folder in which apt stands for the host's; return the options that say so."""
    for name in ("lists/partial", "archives/partial", "sources.list.d", "keys", "empty"):
        (root / name).mkdir(parents=True)
    (root / "status").write_bytes(base64.b64decode(host["status"]))
    for path, content in host["keys"].items():
        (root / "keys" / path.strip("/").replace("/", "_")).write_bytes(base64.b64decode(content))
    files = {"given.list": "\n".join(sources) + "\n"} if sources else host["sources"]
    for path, text in files.items():
        name = path.strip("/").replace("/", "_")
        (root / "sources.list.d" / name).write_text(
            SIGNED_BY.sub(lambda found: _key_here(root, found), text), encoding="utf-8"
        )
    options = {
        "Dir::State": root,
        "Dir::State::lists": root / "lists",
        "Dir::State::status": root / "status",
        "Dir::State::extended_states": root / "extended_states",
        "Dir::Cache": root,
        "Dir::Cache::archives": root / "archives",
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": root / "sources.list.d",
        "Dir::Etc::trusted": "/dev/null",
        "Dir::Etc::trustedparts": root / "keys",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": root / "empty",
        "APT::Architecture": host["arch"],
        "APT::Architectures": host["arch"],
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",
        "Acquire::Retries": "5",
        "Acquire::Languages": "none",
        "Debug::NoLocking": "true",
    }
    return [word for name, value in options.items() for word in ("-o", f"{name}={value}")]


def _key_here(root: Path, found: re.Match[str]) -> str:
    return found[1] + str(root / "keys" / found[2].strip("/").replace("/", "_"))


def fetch(
    root: Path, host: dict[str, Any], packages: Sequence[str], sources: Sequence[str]
) -> list[Path]:
    """Return the files of all packages that the host lacks.

    Raises:
        ValueError: apt cannot get them; the message ends with its last words.
    """
    if shutil.which("apt-get") is None:
        raise ValueError(
            "this control node has no apt-get, by which it fetches packages for the hubs; set "
            "bus_database_packages_from to host, and the hubs use their own package sources"
        )
    options = lay_out(root, host, sources)
    words = _run(["apt-get", "-q", *options, "update"])  # one unreachable source need not matter
    command = ["apt-get", "-q", "--yes", "--download-only", *options, "install", *packages]
    done = _run(command)
    if done.returncode != 0:
        said = [*words.stderr.splitlines()[-4:], *done.stderr.splitlines()[-6:]]
        raise ValueError(
            f"apt-get cannot fetch {', '.join(packages)} for {host['release']}:\n"
            + "\n".join([*dict.fromkeys(said), *_universe(host, sources)])
        )
    return sorted((root / "archives").glob("*.deb"))


def _universe(host: dict[str, Any], sources: Sequence[str]) -> list[str]:
    """Return what to do if Ubuntu's sources leave out the component that has etcd."""
    texts = sources or host["sources"].values()
    if not host["release"].startswith("ubuntu") or any("universe" in text for text in texts):
        return []
    says = (
        "etcd is in Ubuntu's component universe, which these package sources leave out: add it on "
        "the hubs (add-apt-repository universe), or name lines with it in bus_database_sources"
    )
    return [says]


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)


def write(archive: Path, top: str, files: Sequence[Path]) -> None:
    """Write an archive of the files, whole or not at all."""
    descriptor, temporary = tempfile.mkstemp(dir=archive.parent)
    with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w") as tar:
        folder = tarfile.TarInfo(top)
        folder.type, folder.mode = tarfile.DIRTYPE, FOLDER
        tar.addfile(folder)
        for path in files:
            content = path.read_bytes()
            entry = tarfile.TarInfo(f"{top}/{path.name}")
            entry.size, entry.mode = len(content), FILE
            tar.addfile(entry, io.BytesIO(content))
    Path(temporary).chmod(FILE)
    Path(temporary).replace(archive)


def build(given: dict[str, Any]) -> dict[str, str]:
    """Return the archive, fetched unless it is in the cache.

    Raises:
        ValueError: with what to do about it.
    """
    top = f"packages-{key_of(given['host'], given['packages'], given['sources'])}"
    folder = Path(given["cache"]) / "packages"
    archive = folder / f"{top}.tar"
    if not archive.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as work:
            root = Path(work) / "apt"
            files = fetch(root, given["host"], given["packages"], given["sources"])
            write(archive, top, files)
        by_age = sorted(folder.glob("packages-*.tar"), key=lambda path: path.stat().st_mtime)
        for old in by_age[:-KEEP_ARCHIVES]:
            old.unlink()
    return {"archive": str(archive), "folder": top}


def main() -> None:
    """Fetch and answer."""
    module = AnsibleModule(
        argument_spec={
            # no_log: the host's list of packages is long, and of no use in a log
            "host": {"type": "dict", "required": True},
            "packages": {"type": "list", "elements": "str", "required": True},
            "sources": {"type": "list", "elements": "str", "default": []},
            "cache": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    try:
        found = build(module.params)
    except (OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    # the parameters would come back with the result otherwise, and the host's status is long
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
