"""Which release this code is: one line in the file RELEASE beside the package."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from agent_bus_client import __version__


@lru_cache(maxsize=1)
def current() -> str:
    """Return `<version>-<content hash>`; without that file, the bare version.

    It is read once: what runs keeps its name when a rollout replaces the folder.
    """
    marker = Path(__file__).resolve().parent.parent / "RELEASE"
    try:
        return marker.read_text(encoding="utf-8").strip() or __version__
    except OSError:
        return __version__
