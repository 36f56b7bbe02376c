"""The operator's sets of rules, as they travel from the inventory to every hub.

A set is one JSON document of the roster. The store keeps its text and does not look into it; the
part that enforces the rules parses it.
"""

from __future__ import annotations

import json


def canonical(rules: object) -> str:
    """The one text of some rules: equal rules have equal texts, whatever the order of keys."""
    return json.dumps(rules, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
