"""The example of docs/how-to/wake-something-else.md, taken from the page and run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.support.node_side import FILES, NODE_PYTHON, ROOT, HubWithNodes, Node, until

if TYPE_CHECKING:
    from pathlib import Path


def test_the_script_of_the_page_answers_a_question(
    hub: HubWithNodes, node: Node, tmp_path: Path
) -> None:
    page = (ROOT / "docs" / "how-to" / "wake-something-else.md").read_text(encoding="utf-8")
    found = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert found
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    script, cli = bin_folder / "run-reporter", bin_folder / "agent-bus"
    script.write_text(found[1].replace("#!/usr/bin/python3", f"#!{NODE_PYTHON}"))
    cli.write_text(
        f"#!{NODE_PYTHON} -IS\nimport sys\nsys.path.insert(0, {str(FILES)!r})\n"
        "from agent_bus_client.__main__ import main\nsys.exit(main(sys.argv[1:]))\n"
    )
    for program in (script, cli):
        program.chmod(0o755)
    node.settings["agents"] = [
        {"name": "alpha"},
        {"name": "beta", "waker": "command", "command": [str(script), "{agent}", "{text}"]},
    ]
    node.write()
    node.start(PATH=f"{bin_folder}:/usr/bin:/bin")
    until(lambda: hub.agent("beta")["status"] == "online", what="beta is online")
    asked = node.cli("ask", "--as", "alpha", "beta", "how are you?")
    assert re.search(r"\nload \d+\.\d\d\n", asked.stdout), (asked.stdout, node.watcher.lines())
