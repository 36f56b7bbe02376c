"""On every machine that may be a hub, the lock file can be installed without a compiler."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from library.release_archive import download_wheels

LOCK = Path(__file__).resolve().parents[2] / "requirements.txt"
PYTHONS = ("3.11", "3.12", "3.13")


def locked() -> set[str]:
    """Return the packages of a Linux hub, as the beginnings of their wheels' file names."""
    lines = re.findall(r"^([\w.-]+)==(\S+)(.*)$", LOCK.read_text(), re.MULTILINE)
    return {
        f"{name.replace('-', '_')}-{version}"
        for name, version, marker in lines
        if "sys_platform == 'win32'" not in marker
    }


def test_every_locked_package_has_a_wheel_for_a_hub_on_arm64(tmp_path: Path) -> None:
    def fetch(python: str) -> list[str]:
        folder = download_wheels(LOCK, python, "aarch64", tmp_path / python)
        return [wheel.name for wheel in folder.iterdir()]

    with ThreadPoolExecutor() as pool:
        wheels = dict(zip(PYTHONS, pool.map(fetch, PYTHONS), strict=True))
    for python, names in wheels.items():
        assert {"-".join(name.split("-")[:2]) for name in names} == locked(), python
        ours = f"cp{python.replace('.', '')}"
        for name in names:
            _, _, tags, abi, platform = name.removesuffix(".whl").split("-")
            assert platform == "any" or "aarch64" in platform, name
            assert tags.startswith("py") or tags == ours or abi == "abi3", name
