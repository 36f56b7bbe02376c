"""The stand-in answers as OpenClaw was measured to answer; what the lab proves rests on that."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.node_side import HOOK_TOKEN, STANDIN, StandinProcess, fetch, until

if TYPE_CHECKING:
    from pathlib import Path

    from agent_bus_client.net import http1


def post(
    gateway: StandinProcess, path: str, body: object, token: str = HOOK_TOKEN
) -> http1.Response:
    return fetch(gateway.url, path, method="POST", token=token, body=body)


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/hooks/wake", {"text": "x", "agentId": "ALPHA"}, 200, '"eventOutcome": "queued"'),
        ("/hooks/wake", {"text": "x", "agentId": "nope"}, 400, "unknown agentId"),
        ("/hooks/wake", {"text": "  "}, 400, "text required"),
        ("/hooks/wake", [1], 400, "object"),
        ("/hooks/wake", {"text": "x" * 300_000}, 413, "too large"),
        ("/hooks/agent", {"message": "x", "agentId": "beta"}, 200, "runId"),
        ("/hooks/agent-bus/alpha", {}, 200, "runId"),
        ("/hooks/agent-bus/nope", {}, 404, "Not Found"),
        ("/elsewhere", {}, 404, "Not Found"),
        ("/hooks/wake?token=x", {}, 400, "query"),
    ],
)
def test_calls_are_answered(
    gateway: StandinProcess, path: str, body: object, status: int, words: str
) -> None:
    answer = post(gateway, path, body)
    assert answer.status == status
    assert words in answer.body.decode()


def test_the_21st_wrong_token_is_throttled_and_the_right_one_still_passes(
    gateway: StandinProcess,
) -> None:
    answers = [post(gateway, "/hooks/wake", {}, token="wrong") for _ in range(21)]
    assert [answer.status for answer in answers] == [401] * 20 + [429]
    assert answers[0].body == b"Unauthorized"
    assert answers[-1].headers["retry-after"] == "60"
    assert post(gateway, "/hooks/wake", {"text": "x"}).status == 200
    assert post(gateway, "/hooks/wake", {}, token="wrong").status == 401


def test_equal_texts_coalesce_only_with_the_last_waiting_one(gateway: StandinProcess) -> None:
    gateway.standin(turn_delay_s=5)
    outcomes = [
        json.loads(post(gateway, "/hooks/wake", {"text": text}).body)["eventOutcome"]
        for text in ("a", "a", "b", "a")
    ]
    assert outcomes == ["queued", "coalesced", "queued", "queued"]


def test_settings_are_taken_up_while_it_runs(gateway: StandinProcess) -> None:
    gateway.configure(allowedAgentIds=["beta"])
    assert post(gateway, "/hooks/wake", {"text": "x", "agentId": "alpha"}).status == 400
    gateway.configure(enabled=False)
    assert post(gateway, "/hooks/wake", {"text": "x"}).status == 404
    assert fetch(gateway.url, "/hooks/wake").status == 405


def test_an_older_one_wakes_the_default_agent_and_says_no_outcome(gateway: StandinProcess) -> None:
    gateway.standin(older=True)
    answer = post(gateway, "/hooks/wake", {"text": "x", "agentId": "beta"})
    assert json.loads(answer.body) == {"ok": True, "mode": "now"}
    assert [wake["agent"] for wake in gateway.wakes()] == ["alpha"]


def test_wakes_can_be_asked_for_and_a_turn_can_be_scripted(
    gateway: StandinProcess, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    script = "import sys; open(sys.argv[1], 'a').write(sys.argv[2])"
    gateway.standin(turn=[sys.executable, "-c", script, str(ran), "{agent}"])
    post(gateway, "/hooks/wake", {"text": "x", "agentId": "beta"})
    post(gateway, "/hooks/wake", {"text": "y", "agentId": "alpha"})
    wakes = json.loads(fetch(gateway.url, "/standin/wakes?since=1").body)["wakes"]
    assert [(wake["n"], wake["agent"], wake["path"]) for wake in wakes] == [
        (2, "alpha", "/hooks/wake")
    ]
    until(lambda: ran.exists() and "beta" in ran.read_text(), what="the turn ran")


def test_the_command_patches_settings_and_refuses_what_it_does_not_know(
    gateway: StandinProcess, tmp_path: Path
) -> None:
    def openclaw(*arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, str(STANDIN.parent / "openclaw"), *arguments]
        env = {"OPENCLAW_STATE_DIR": str(gateway.folder)}
        return subprocess.run(argv, env=env, capture_output=True, text=True, check=False)

    assert openclaw("--version").stdout.startswith("OpenClaw 2026.9.6")
    patch = tmp_path / "patch.json"
    patch.write_text('{"hooks": {"path": "/other", "token": "new"}, "agents": null}')
    assert openclaw("config", "patch", "--file", str(patch)).returncode == 0
    merged = json.loads((gateway.folder / "openclaw.json").read_text())
    assert merged["hooks"]["enabled"] is True
    assert merged["hooks"]["token"] == "new"
    assert "agents" not in merged
    assert json.loads(openclaw("config", "validate", "--json").stdout)["valid"] is True
    assert json.loads(openclaw("config", "file", "--json").stdout)["path"].endswith(
        "openclaw.json"
    )
    assert openclaw("cron", "list").returncode == 1
