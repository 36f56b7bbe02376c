"""The page takes the figures of the last runs, and keeps all else."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

from bench import page
from bench.reconnect import Restart, Result

TEXT = """# Performance

<!-- bench: goals -->

old goals

<!-- end -->

between

<!-- bench: compared -->
<!-- end -->
"""
MACHINE: dict[str, Any] = {
    "day": "2026-01-31", "cores": 2, "cpu": "some", "python": "3.11.2", "load_1m": 0.25,
    "file_system": "ext4", "fsync": {"p50_ms": 0.5},
}  # fmt: skip


def test_a_block_is_replaced_and_all_else_stays() -> None:
    found = page.filled(TEXT, {"goals": "| new |", "other": "nowhere"})
    assert found == TEXT.replace("old goals", "| new |")
    assert page.filled(found, {"goals": "| new |"}) == found
    assert "<!-- bench: compared -->\n\n| x |\n\n<!-- end -->" in page.filled(
        TEXT, {"compared": "| x |"}
    )


def test_every_block_of_the_page_has_its_run() -> None:
    times = {"p50_ms": 1.0, "p99_ms": 2.0, "server_us": 200.0, "lost": 0, "doubled": 0}
    results = {
        "machine": MACHINE,
        "compared": {"rest": {"agent-bus": [times], "JetStream synced": [times]}},
        "shapes": {"key": [times]},
        "agent-bus": {"senders": {"1": times}},
    }
    against = {
        "machine": MACHINE,
        "against": "abc",
        "rows": {"key": {"new": [times], "old": [times]}},
    }
    restarts = [Restart("kill", 5.0, [1.0], 1.0, 2.0)]
    back = [asdict(Result("now", count, restarts, [3.0])) for count in (9, 200, 1000)]
    blocks = page.beside_peers(results) | page.beside_before(against) | page.come_back(back)
    text = page.PAGE.read_text(encoding="utf-8")
    assert set(re.findall(r"<!-- bench: ([\w-]+) -->", text)) == set(blocks)
    assert "2026-01-31" in blocks["run"]
    assert "| key | server us/msg | 200 | 200 | 1.00 |" in blocks["against"]
