"""Which release this code is: one line in the file RELEASE beside the package."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from agent_bus_client import __version__


@lru_cache(maxsize=1)
def current() -> str:
    """Return `<version>-<content hash>`, the bare version without that file.

    Read once: a rollout that replaces the folder does not rename what is running.
    """
    marker = Path(__file__).resolve().parent.parent / "RELEASE"
    try:
        return marker.read_text(encoding="utf-8").strip() or __version__
    except OSError:
        return __version__
