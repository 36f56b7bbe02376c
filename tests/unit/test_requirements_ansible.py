"""The demo's environment is a part of the whole one: the same versions with the same hashes."""

from __future__ import annotations

import re

from lab.paths import ROOT


def locked(name: str) -> dict[str, frozenset[str]]:
    """Return the hashes of each locked requirement."""
    text = (ROOT / name).read_text(encoding="utf-8")
    parts = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    return {part.split()[0]: frozenset(re.findall(r"sha256:[0-9a-f]{64}", part)) for part in parts}


def test_the_demo_s_environment_is_a_part_of_the_whole() -> None:
    part, whole = locked("requirements-ansible.txt"), locked("requirements-dev.txt")
    assert part.items() <= whole.items()
    assert any(name.startswith("ansible-core==") for name in part)
