from __future__ import annotations

import re
import subprocess
import sys

from tests.support.node_side import FILES, ROOT


def test_the_generated_pages_are_up_to_date() -> None:
    argv = [sys.executable, str(ROOT / "docs" / "generate_cli.py"), "--check"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_event_that_the_watcher_logs_is_documented() -> None:
    page = (ROOT / "docs" / "reference" / "watcher.md").read_text(encoding="utf-8")
    logged = set()
    for path in [
        *(FILES / "agent_bus_client" / "watcher").glob("*.py"),
        FILES / "agent_bus_client/waker/gateway.py",
        FILES / "agent_bus_client/hub/cursor.py",
        FILES / "agent_bus_client/outbox/folder.py",
        FILES / "agent_bus_client/outbox/draining.py",
    ]:
        source = path.read_text(encoding="utf-8")
        logged |= set(
            re.findall(r'logger\.(?:info|warning|error|critical)\(\s*"([^"%;:]+)', source)
        )
    missing = {event for event in logged if event.strip()[:30] not in page}
    assert len(logged) > 15
    assert not missing
