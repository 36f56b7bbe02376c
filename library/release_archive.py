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
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule

if TYPE_CHECKING:
    from collections.abc import Sequence

DOCUMENTATION = r"""
module: release_archive
short_description: Build a release archive on the control node, once for each content
description:
  - Builds in the cache folder only, so it never reports a change and does the same in check mode.
options:
  name: {description: Folder of the program below /opt on the hosts., type: str, required: true}
  package: {description: The Python package with its version in it., type: path}
  more_packages:
    description: Further packages that it needs, such as those that several programs share.
    type: list
    elements: path
    default: []
  version:
    description: The version of a release without a package of our own, such as Patroni's.
    type: str
    default: ""
  files: {description: Further files of the release and their text., type: dict, default: {}}
  requirements: {description: Locked requirements with hashes., type: path}
  more_requirements:
    description: Further files of that kind. The first one that names a package counts.
    type: list
    elements: path
    default: []
  sources:
    description:
      - Requirements that come as source only. Their wheels are made on the control node, by the
        setuptools of the same lock file; they must be pure Python.
    type: list
    elements: str
    default: []
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


def download_wheels(
    lock: str, python: str, machine: str, cache: Path, *, sources: Sequence[str] = ()
) -> Path:
    """Return the folder with all wheels of the lock file for that Python and machine.

    Those of `sources` are made here; the hashes are checked for them, too.

    Raises:
        ValueError: pip cannot get them; the message ends with its last words.
    """
    key = content_hash({"lock": lock.encode(), "python": python.encode(), "on": machine.encode()})
    folder = cache / "wheels" / f"cp{python.replace('.', '')}-{machine}-{key}"
    if folder.exists():
        return folder
    have_folder(folder.parent)
    abi = f"cp{python.replace('.', '')}"
    pip = (sys.executable, "-m", "pip")
    ready, to_make = split_lock(lock, sources)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        made = Path(work, "wheels")
        Path(work, "ready.txt").write_text(ready, encoding="utf-8")
        download = [
            *(*pip, "download", "--quiet", "--no-deps", "--require-hashes"),
            *("--only-binary=:all:", "--implementation=cp"),
            *(f"--python-version={python}", f"--abi={abi}", "--abi=abi3", "--abi=none"),
            *(f"--platform={platform}_{machine}" for platform in PLATFORMS),
            *("--requirement", f"{work}/ready.txt", "--dest", str(made)),
        ]
        _run_pip(download, f"pip download for Python {python} on {machine} failed")
        if to_make:
            _make_wheels(pip, to_make, made)
        for path in (made, *made.iterdir()):
            path.chmod(FOLDER if path.is_dir() else FILE)
        made.rename(folder)
    return folder


def merged(locks: Sequence[str]) -> str:
    """Return lock files as one, in which each requirement stands once."""
    first, *others = locks
    for other in others:
        known = set(re.findall(r"^([\w.-]+)==", first, re.MULTILINE))
        first += split_lock(other, sorted(known))[0]
    return first


def split_lock(lock: str, sources: Sequence[str]) -> tuple[str, str]:
    """Return the lock file without the given requirements, and these alone."""
    parts = re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE)
    chosen = [part for part in parts if part.partition("==")[0] in sources]
    return "".join(part for part in parts if part not in chosen), "".join(chosen)


def _make_wheels(pip: tuple[str, ...], lock: str, wheels: Path) -> None:
    """Make wheels from source by the setuptools among the wheels: pip would take any from PyPI."""
    with tempfile.TemporaryDirectory(dir=wheels.parent) as work:
        for tools in wheels.glob("setuptools-*.whl"):
            zipfile.ZipFile(tools).extractall(f"{work}/tools")  # noqa: S202 - pip has checked its hash
        Path(work, "lock.txt").write_text(lock, encoding="utf-8")
        command = [
            *(*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--require-hashes"),
            *("--requirement", f"{work}/lock.txt", "--wheel-dir", str(wheels)),
        ]
        _run_pip(command, "pip wheel failed", PYTHONPATH=f"{work}/tools")


def _run_pip(command: Sequence[str], what: str, **variables: str) -> None:
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **variables}
    )
    if result.returncode != 0:
        words = "\n".join(result.stderr.strip().splitlines()[-8:])
        raise ValueError(f"{what}:\n{words}")


def locked_here(lock: str, sources: Sequence[str], wheels: Path) -> str:
    """Return the lock file with the hashes of the wheels that were made from `sources`."""
    ready, to_make = split_lock(lock, sources)
    for name, version in re.findall(r"^([\w.-]+)==(\S+)", to_make, re.MULTILINE):
        (wheel,) = wheels.glob(f"{name.replace('-', '_')}-{version}-*.whl")
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        ready += f"{name}=={version} --hash=sha256:{digest}\n"
    return ready


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
    cache, sources = Path(parameters["cache"]), parameters.get("sources") or []
    package = Path(parameters["package"]) if parameters["package"] else None
    version = version_of(package) if package else parameters["version"]
    parts = package_files(package) if package else {}
    for more in parameters.get("more_packages") or []:
        parts.update(package_files(Path(more)))
    parts.update({name: text.encode() for name, text in parameters["files"].items()})
    hashed = dict(parts) | {"layout": LAYOUT}
    wheels = None
    if parameters["requirements"]:
        files = [parameters["requirements"], *(parameters.get("more_requirements") or [])]
        lock = merged([Path(file).read_text(encoding="utf-8") for file in files])
        parts["requirements.txt"] = hashed["requirements.txt"] = lock.encode()
        hashed["for"] = f"{parameters['python']} {parameters['machine']}".encode()
    release = f"{version}-{content_hash(hashed)}"
    archive = cache / "releases" / f"{parameters['name']}-{release}.tar"
    built = not archive.exists()
    if built:
        if parameters["requirements"]:
            wheels = download_wheels(
                lock,
                parameters["python"],
                parameters["machine"],
                cache,
                sources=sources,
            )
            parts["requirements.txt"] = (
                locked_here(lock, sources, wheels) if sources else lock
            ).encode()
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
            "package": {"type": "path"},
            "more_packages": {"type": "list", "elements": "path", "default": []},
            "version": {"type": "str", "default": ""},
            "files": {"type": "dict", "default": {}},
            "requirements": {"type": "path"},
            "more_requirements": {"type": "list", "elements": "path", "default": []},
            "sources": {"type": "list", "elements": "str", "default": []},
            "python": {"type": "str"},
            "machine": {"choices": ["x86_64", "aarch64"]},
            "cache": {"type": "path", "required": True},
        },
        required_by={"requirements": ["python", "machine"]},
        required_one_of=[["package", "version"]],
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
