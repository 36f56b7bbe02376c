"""Ansible module: build a release of one of the project's programs on the control node.

A release is one archive with the program's package, the files given and, for a program with
dependencies, their wheels for the host that will run it; the host then needs no package index.
Its name is `<version>-<content hash>`: equal content is never built twice.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: release_archive
short_description: Build a release archive on the control node, once for each content
description:
  - Builds in the cache folder only, so it never reports a change and does the same in check mode.
options:
  name: {description: Folder of the program below /opt on the hosts., type: str, required: true}
  package: {description: The Python package with its version in it., type: path, required: true}
  files: {description: Further files of the release and their text., type: dict, default: {}}
  requirements: {description: Locked requirements with hashes., type: path}
  python: {description: Python of the host such as 3.11; needed with requirements., type: str}
  machine:
    description: Machine of the host; needed with requirements.
    type: str
    choices: [x86_64, aarch64]
  cache: {description: Folder to build in., type: path, required: true}
"""

RETURN = r"""
release: {description: Name of the release., type: str}
archive: {description: Path of the archive on the control node., type: str}
built: {description: Whether it had to be built., type: bool}
installer: {description: File name of pip's own wheel in the release., type: str}
"""

PLATFORMS = ("manylinux2014", "manylinux_2_28")  # the older name alone gives older wheels
LAYOUT = b"2: with an entry for every folder"
"""Part of a release's name, since an archive in the cache is not written again."""
KEEP_ARCHIVES = 5
FOLDER, FILE = 0o755, 0o644
"""The modes of all that is built, whatever the umask: nothing in it is secret."""


def package_files(package: Path) -> dict[str, bytes]:
    """Return each file of the package by its path in the release, without what Python cached."""
    return {
        f"{package.name}/{path.relative_to(package).as_posix()}": path.read_bytes()
        for path in sorted(package.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }


def version_of(package: Path) -> str:
    """Return the package's `__version__`.

    Raises:
        ValueError: there is none.
    """
    text = (package / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE)
    if found is None:
        raise ValueError(f"{package}/__init__.py has no __version__")
    return found[1]


def content_hash(parts: dict[str, bytes]) -> str:
    """Return 12 hex digits that change with the name or content of any part."""
    digest = hashlib.sha256()
    for name in sorted(parts):
        digest.update(f"{name}\0".encode())
        digest.update(hashlib.sha256(parts[name]).digest())
    return digest.hexdigest()[:12]


def download_wheels(requirements: Path, python: str, machine: str, cache: Path) -> Path:
    """Return the folder with all wheels of the lock file for that Python and machine.

    Raises:
        ValueError: pip cannot get them; the message ends with its last words.
    """
    key = content_hash(
        {"lock": requirements.read_bytes(), "python": python.encode(), "on": machine.encode()}
    )
    folder = cache / "wheels" / f"cp{python.replace('.', '')}-{machine}-{key}"
    if folder.exists():
        return folder
    have_folder(folder.parent)
    abi = f"cp{python.replace('.', '')}"
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        command = [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
            *("--require-hashes", "--only-binary=:all:", "--implementation=cp"),
            *(f"--python-version={python}", f"--abi={abi}", "--abi=abi3", "--abi=none"),
            *(f"--platform={platform}_{machine}" for platform in PLATFORMS),
            *("--requirement", str(requirements), "--dest", f"{work}/wheels"),
        ]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            words = "\n".join(result.stderr.strip().splitlines()[-8:])
            raise ValueError(f"pip download for Python {python} on {machine} failed:\n{words}")
        made = Path(work, "wheels")
        for path in (made, *made.iterdir()):
            path.chmod(FOLDER if path.is_dir() else FILE)
        made.rename(folder)
    return folder


def have_folder(folder: Path) -> None:
    """Make a folder of the cache that every operator of this clone may read."""
    for missing in [path for path in (folder, *folder.parents) if not path.exists()][::-1]:
        missing.mkdir(exist_ok=True)
        missing.chmod(FOLDER)


def write_archive(archive: Path, top: str, parts: dict[str, bytes], wheels: Path | None) -> None:
    """Write the archive; everything in it belongs to root and lies below `top`."""
    have_folder(archive.parent)
    descriptor, temporary = tempfile.mkstemp(dir=archive.parent)
    with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w") as tar:
        everything = dict(parts)
        for wheel in sorted(wheels.iterdir()) if wheels else []:
            everything[f"wheels/{wheel.name}"] = wheel.read_bytes()
        folders = {f"{top}/{parent}" for name in everything for parent in _parents(name)}
        # Folders above the release, too: without an entry, their mode would come from the umask.
        for folder in sorted({top, *_parents(top), *folders}):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, FOLDER
            entry.uname = entry.gname = "root"
            tar.addfile(entry)
        for name, content in everything.items():
            entry = tarfile.TarInfo(f"{top}/{name}")
            entry.size, entry.mode = len(content), FILE
            entry.uname = entry.gname = "root"
            tar.addfile(entry, io.BytesIO(content))
    Path(temporary).chmod(FILE)
    Path(temporary).replace(archive)


def _parents(name: str) -> list[str]:
    return [str(parent) for parent in Path(name).parents if str(parent) != "."]


def build(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the release and its archive, built unless it is in the cache.

    Raises:
        ValueError: with what to do about it.
    """
    package, cache = Path(parameters["package"]), Path(parameters["cache"])
    parts = package_files(package)
    parts.update({name: text.encode() for name, text in parameters["files"].items()})
    hashed = dict(parts) | {"layout": LAYOUT}
    wheels = None
    if parameters["requirements"]:
        requirements = Path(parameters["requirements"])
        parts["requirements.txt"] = hashed["requirements.txt"] = requirements.read_bytes()
        hashed["for"] = f"{parameters['python']} {parameters['machine']}".encode()
    release = f"{version_of(package)}-{content_hash(hashed)}"
    archive = cache / "releases" / f"{parameters['name']}-{release}.tar"
    built = not archive.exists()
    if built:
        if parameters["requirements"]:
            wheels = download_wheels(
                requirements, parameters["python"], parameters["machine"], cache
            )
        parts["RELEASE"] = f"{release}\n".encode()
        write_archive(archive, f"{parameters['name']}/releases/{release}", parts, wheels)
        _prune(archive.parent, parameters["name"])
    return {
        "release": release,
        "archive": str(archive),
        "built": built,
        "installer": _pip_wheel(parts.get("requirements.txt", b"").decode()),
    }


def _pip_wheel(requirements: str) -> str:
    """Return the file name of pip's own wheel, which can run without being installed."""
    found = re.search(r"^pip==(\S+)", requirements, re.MULTILINE)
    return f"pip-{found[1]}-py3-none-any.whl" if found else ""


def _prune(folder: Path, name: str) -> None:
    archives = sorted(folder.glob(f"{name}-[0-9]*.tar"), key=lambda path: path.stat().st_mtime)
    for old in archives[:-KEEP_ARCHIVES]:
        old.unlink()


def main() -> None:
    """Build and answer."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "package": {"type": "path", "required": True},
            "files": {"type": "dict", "default": {}},
            "requirements": {"type": "path"},
            "python": {"type": "str"},
            "machine": {"choices": ["x86_64", "aarch64"]},
            "cache": {"type": "path", "required": True},
        },
        required_by={"requirements": ["python", "machine"]},
        supports_check_mode=True,
    )
    try:
        result = build(module.params)
    except PermissionError as error:
        module.fail_json(
            msg=f"{error}. Releases are built in {module.params['cache']}, which somebody else "
            "has made; set message_bus_cache_dir and bus_watcher_cache_dir to a folder of your own"
        )
    except (OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
