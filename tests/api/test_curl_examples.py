"""Every curl line of docs/reference/api.md, run by a real curl against a real hub."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from agent_bus.api import openapi
from agent_bus.api.models import channels, fleet, hubs, responses, storms, wakes, webhooks
from tests.support.hub import ADMIN, FLEET, REPOSITORY, HubProcess, roster, running
from tests.support.patience import patience
from tests.support.proxy import RecordingProxy
from tests.support.receiver import configured, receiving
from tests.support.services import channels_file

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = (REPOSITORY / "docs/reference/api.md").read_text()
LINE = re.compile(r"^curl [^(].*$", re.MULTILINE)
LINES = LINE.findall(PAGE)
SECTIONS = dict(re.findall(r"^### (\S+ /\S+)\n(.*?)(?=^###? |\Z)", PAGE, re.MULTILINE | re.DOTALL))
DESCRIBED = openapi.document()
DIRECT = re.search(r"^curl\(\) .*?$", PAGE, re.MULTILINE)
"""What the page has a shell do first, so that curl asks the hub itself."""
TIMED_OUT = 28
"""curl's exit code for a stream that is still open at --max-time."""


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("hub")
    with (
        RecordingProxy() as proxy,
        receiving() as receiver,
        running(
            folder,
            webhooks_file=configured(folder, receiver),
            channels_file=channels_file(folder, {"name": "phone", "url": "ntfy://127.0.0.1:9/x"}),
            storm_turns=8,
            storm_window_s=5,
        ) as hub,
    ):
        hub.enrol(groups={"research": ["beta"]})
        watch(hub)
        sent = hub.client("n1").send("before", **{"from": "alpha", "to": "beta"})
        for number in range(100):  # until their pair is damped
            if hub.client(None).get("/api/storms").body["storms"]:
                break
            names = ("beta", "alpha") if number % 2 == 0 else ("alpha", "beta")
            hub.client("n1").send(f"{number}", **{"from": names[0], "to": names[1]})
        yield {
            "PATH": "/usr/bin:/bin",
            "HUB": f"http://127.0.0.1:{hub.port}",
            "TOKEN": "token-n1",
            "ADMIN": ADMIN,
            "ID": sent["id"],
            **proxy.environment,
        }
    assert proxy.asked == []


def watch(hub: HubProcess) -> None:
    """gamma's watcher is connected; alpha's and beta's is not, so that a probe answers at once."""
    hub.stream("n2", "role=watcher").of_type("hello")


@pytest.mark.parametrize("line", LINES)
def test_the_line_works_as_it_stands(line: str, variables: dict[str, str]) -> None:
    assert DIRECT
    done = subprocess.run(
        ["sh", "-c", f"{DIRECT[0]}\n{line} -w '\\n%{{http_code}}'"],
        env=variables,
        capture_output=True,
        text=True,
        timeout=patience(),
        check=False,
    )
    body, _, status = done.stdout.rpartition("\n")
    assert done.returncode == (TIMED_OUT if "/api/stream" in line else 0), done.stderr
    assert status in {"200", "201", "204"}, body
    if "/api/stream" in line:
        assert "event: hello" in body


def model_of(call: str, status: str) -> type[responses.AnswerModel] | None:
    """What the document says that a call answers; None where it is no JSON."""
    method, path = call.split(" ")
    answers = DESCRIBED["paths"][path][method.lower()]["responses"]
    schema = answers[status].get("content", {}).get("application/json", {}).get("schema", {})
    name = schema.get("$ref", "").rpartition("/")[2]
    modules = (responses, hubs, fleet, webhooks, channels, storms, wakes)
    return next(getattr(one, name) for one in modules if hasattr(one, name)) if name else None


def outcome(line: str, variables: dict[str, str]) -> tuple[str, str]:
    """Body and status of a line that ends by itself."""
    assert DIRECT
    done = subprocess.run(
        ["sh", "-c", f"{DIRECT[0]}\n{line} -w '\\n%{{http_code}}'"],
        env=variables, capture_output=True, text=True, timeout=patience(), check=False,
    )  # fmt: skip
    body, _, status = done.stdout.rpartition("\n")
    return body, status


@pytest.mark.parametrize("call", [call for call in SECTIONS if call != "GET /api/stream"])
def test_the_answer_is_what_the_document_says(call: str, variables: dict[str, str]) -> None:
    """With messages, agents and backups in it, which generated requests seldom meet."""
    for line in LINE.findall(SECTIONS[call]):
        body, status = outcome(line, variables)
        model = model_of(call, status)
        if model is not None:
            model.model_validate_json(body)


def test_the_inbox_of_the_example_has_a_message_and_a_missing_field_is_noticed(
    variables: dict[str, str],
) -> None:
    (line, *_) = LINE.findall(SECTIONS["GET /api/inbox"])
    body = json.loads(outcome(line, variables)[0])
    del body["messages"][0]["fetch_count"]
    with pytest.raises(ValidationError, match="fetch_count"):
        responses.InboxAnswer.model_validate(body)


def test_every_route_has_a_section_with_an_example_of_its_own() -> None:
    calls = {
        f"{method.upper()} {path}"
        for path, methods in openapi.document()["paths"].items()
        for method in methods
    }
    assert calls == set(SECTIONS)
    for call, text in SECTIONS.items():
        address = re.escape(call.partition(" ")[2])
        address = re.sub(r"\\{\w+\\}", r"[^/\\s\"]+", address)
        assert re.search(rf"^curl .*\$HUB{address}[\s\"?]*", text, re.MULTILINE), call


def test_the_example_of_a_roster_is_the_test_fleets_so_that_nothing_is_retired() -> None:
    (line,) = [line for line in LINES if "-X PUT" in line]
    for agent in roster(FLEET)["agents"]:
        assert f'"name": "{agent["name"]}", "node": "{agent["node"]}"' in line
