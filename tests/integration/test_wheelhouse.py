"""On every machine that may be a hub, the lock files can be installed without a compiler."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from library.release_archive import download_wheels, merged, split_lock

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = ("3.11", "3.12", "3.13")


MADE_HERE = ("python-etcd", "ydiff")


def lock_of(program: str) -> str:
    """Return what a program needs, as the rollout puts it together."""
    if program == "patroni":
        return split_lock((ROOT / "requirements-patroni.txt").read_text(), MADE_HERE)[0]
    files = ("requirements.txt", "requirements-channels.txt", "requirements-postgres.txt")
    return merged([(ROOT / file).read_text() for file in files])


def locked(lock: str) -> set[str]:
    """Return the packages of a Linux hub, as the beginnings of their wheels' file names."""
    lines = re.findall(r"^([\w.-]+)==(\S+)(.*)$", lock, re.MULTILINE)
    return {
        f"{name.replace('-', '_')}-{version}"
        for name, version, marker in lines
        if "sys_platform == 'win32'" not in marker
    }


@pytest.mark.parametrize("program", ["hub", "patroni"])
def test_every_locked_package_has_a_wheel_for_a_hub_on_arm64(program: str, tmp_path: Path) -> None:
    lock = lock_of(program)

    def fetch(python: str) -> list[str]:
        folder = download_wheels(lock, python, "aarch64", tmp_path / python)
        return [wheel.name for wheel in folder.iterdir()]

    with ThreadPoolExecutor() as pool:
        wheels = dict(zip(PYTHONS, pool.map(fetch, PYTHONS), strict=True))
    for python, names in wheels.items():
        assert {"-".join(name.split("-")[:2]) for name in names} == locked(lock), python
        ours = f"cp{python.replace('.', '')}"
        for name in names:
            _, _, tags, abi, platform = name.removesuffix(".whl").split("-")
            assert platform == "any" or "aarch64" in platform, name
            assert tags.startswith("py") or tags == ours or abi == "abi3", name
