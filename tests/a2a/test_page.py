"""The listings of docs/how-to/a2a.md as they stand there, each run with what it is written for."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.a2a_clients import CACHE
from tests.support.certificates import Authority
from tests.support.hub import REPOSITORY, HubProcess
from tests.support.node_side import HubWithNodes, token_of
from tests.support.patience import patience, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE = (REPOSITORY / "docs/how-to/a2a.md").read_text()
LISTINGS = {
    name: text
    for text in re.findall(r"^```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for name in re.findall(r"^(?:#|//) (\w+\.\w+)", text, re.MULTILINE)[:1]
}
RUNNERS = {
    "sh": ["sh"],
    "py": [str(CACHE / "python/bin/python")],
    "mjs": ["node"],
}


def url_of(hub: HubProcess) -> str:
    return f"http://127.0.0.1:{hub.port}"


def run(
    name: str, url: str, folder: Path, *arguments: str, token: str = "token-n3", **environ: str
) -> str:
    """What a listing prints, as delta."""
    script = folder / name
    script.write_text(LISTINGS[name])
    modules = folder / "node_modules"
    if name.endswith("mjs") and not modules.exists():
        modules.symlink_to(CACHE / "1.3.0/node_modules")
    bus = {"BUS_URL": url, "BUS_TOKEN": token}
    done = subprocess.run(
        [*RUNNERS[name.rpartition(".")[2]], str(script), *arguments],
        cwd=folder,
        env={**os.environ, **bus, **environ},
        capture_output=True,
        text=True,
        timeout=patience(),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_has_these_listings() -> None:
    assert set(LISTINGS) == {"ask.sh", "get.sh", "ask.py", "ask.mjs"}


@pytest.mark.parametrize("name", ["ask.py", "ask.mjs"])
def test_a_listing_asks_and_prints_the_answer(hub: HubProcess, tmp_path: Path, name: str) -> None:
    printed: list[str] = []
    question = f"What is 6 * 7, {name}?"
    asking = threading.Thread(
        target=lambda: printed.append(run(name, url_of(hub), tmp_path, "alpha", question))
    )
    asking.start()
    client = hub.client("n1")
    found: list[dict[str, Any]] = []

    def has_come() -> bool:
        page = client.get("/api/inbox?agent=alpha&limit=500").body["messages"]
        found[:] = [one for one in page if one["body"] == question]
        return bool(found)

    wait_until(has_come, "the question is there")
    client.send("42", **{"from": "alpha", "to": "delta", "reply_to": found[0]["id"]})
    asking.join()
    assert printed == ["TASK_STATE_COMPLETED\n42\n"]


def test_curl_asks_and_looks_again(hub: HubProcess, tmp_path: Path) -> None:
    task = json.loads(run("ask.sh", url_of(hub), tmp_path, "gamma", "What is 6 * 7?"))["task"]
    assert task["status"]["state"] == "TASK_STATE_SUBMITTED"
    reply = {"to": "delta", "reply_to": task["id"]}
    hub.client("n2").send("42", **reply)
    task = json.loads(run("get.sh", url_of(hub), tmp_path, "gamma", task["id"]))
    assert task["artifacts"][0]["parts"] == [{"text": "42"}]


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[tuple[HubWithNodes, Path]]:
    """A hub that speaks TLS, and the file of its CA."""
    authority = Authority(tmp_path / "tls")
    fleet: dict[str, tuple[str, ...]] = {"n1": ("alpha",), "n3": ("delta",)}
    made = HubWithNodes(
        tmp_path / "hub", fleet, ca_file=str(authority.ca_file), **authority.issue("hub")
    )
    yield made, authority.ca_file
    made.process.kill()


@pytest.mark.parametrize(
    ("name", "variable"), [("ask.py", "SSL_CERT_FILE"), ("ask.mjs", "NODE_EXTRA_CA_CERTS")]
)
def test_tls_takes_the_ca_by_the_variable_that_the_page_names(
    secured: tuple[HubWithNodes, Path], tmp_path: Path, name: str, variable: str
) -> None:
    hub, ca_file = secured
    printed: list[str] = []

    def ask() -> None:
        token = token_of("n3")
        arguments = ("alpha", "In secret?")
        printed.append(
            run(name, hub.url, tmp_path, *arguments, token=token, **{variable: str(ca_file)})
        )

    asking = threading.Thread(target=ask)
    asking.start()
    found: list[dict[str, Any]] = []

    def has_come() -> bool:
        found[:] = hub.call("GET", "/api/inbox", None, token_of("n1"))["messages"]
        return bool(found)

    wait_until(has_come, "the question is there")
    reply = {"to": "delta", "body": "Yes.", "reply_to": found[0]["id"]}
    hub.call("POST", "/api/send", reply, token_of("n1"))
    asking.join()
    assert printed == ["TASK_STATE_COMPLETED\nYes.\n"]
    card = hub.call("GET", "/a2a/alpha/.well-known/agent-card.json", None, token_of("n3"))
    assert card["url"].startswith("https://")
