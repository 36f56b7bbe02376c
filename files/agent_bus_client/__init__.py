"""The node's side of the agent bus: watcher, command line and what they share.

Standard library only, Python 3.9 and newer: nodes need no package and no internet.
"""

from __future__ import annotations

__version__ = "0.1.0"
