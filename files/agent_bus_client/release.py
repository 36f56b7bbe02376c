"""Which release this code is: one line in the file RELEASE beside the package.

Without pathlib, which costs an idle MCP server 1 MiB and a quarter of its start.
"""

from __future__ import annotations

import os
from functools import lru_cache

from agent_bus_client import __version__


@lru_cache(maxsize=1)
def current() -> str:
    """Return `<version>-<content hash>`; without that file, the bare version.

    It is read once: what runs keeps its name when a rollout replaces the folder.
    """
    folder = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    try:
        with open(os.path.join(folder, "RELEASE"), encoding="utf-8") as marker:
            return marker.read().strip() or __version__
    except OSError:
        return __version__
