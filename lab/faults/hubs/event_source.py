"""npm's EventSource as one more listener: the program of the how-to page, at one hub throughout.

It knows one address, so it waits until its hub is back, and resumes there by its last id.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from typing import TYPE_CHECKING, Final

from lab.faults.hubs.books import Heard
from lab.paths import ROOT, LabError

if TYPE_CHECKING:
    from pathlib import Path

    from lab.faults.hubs.books import Place

PAGE: Final = ROOT / "docs" / "how-to" / "write-a-client.md"
MODULES: Final = ROOT / ".cache" / "eventsource" / "5" / "node_modules"
PRINTS_IDS: Final = "console.log(JSON.parse(event.data).id);"
OPENED: Final = 'source.addEventListener("hello", (event) => {'
TELLS: Final = 'console.log("{}");'


def program() -> str:
    """Return the page's program, changed to print whole messages, and `{}` when it listens.

    Raises:
        LabError: the page has another program.
    """
    found = re.search(r"^// listen\.mjs.*?(?=^```$)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    text = found[0] if found else ""
    if PRINTS_IDS not in text or OPENED not in text:
        raise LabError(f"the program in {PAGE} is not what the faults know")
    text = text.replace(PRINTS_IDS, "console.log(event.data);")
    return text.replace(OPENED, f"{OPENED}\n{TELLS}", 1)


class EventSource(threading.Thread):
    """One process of Node; its messages are noted in the order in which it prints them."""

    def __init__(self, place: Place, hub: str, url: str, folder: Path) -> None:
        super().__init__(name=f"EventSource of {place.node} at {hub}", daemon=True)
        self.agents = place.agents
        self.listens = False
        self.heard: list[Heard] = []
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "listen.mjs").write_text(program())
        if not (folder / "node_modules").exists():
            (folder / "node_modules").symlink_to(MODULES)
        self._errors = (folder / f"{hub}.stderr").open("w")
        token = place.token.read_text().strip()
        self._process = subprocess.Popen(
            ["node", "listen.mjs"],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "BUS_URL": url, "BUS_TOKEN": token},
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def run(self) -> None:
        """Note what it prints."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message = json.loads(line)
            self.listens = True
            if message:
                heard = Heard(self.name, message["id"], message["to_agent"], message["seq"])
                self.heard.append(heard)

    def end(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()
        self._errors.close()
