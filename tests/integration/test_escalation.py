"""The pages about questions and escalation: their commands, word for word, with a real watcher."""

from __future__ import annotations

import contextlib
import http.client
import re
import shlex
import subprocess
from typing import TYPE_CHECKING

import yaml

from tests.support.cli import sent_id, told
from tests.support.guard import marked
from tests.support.hub import HubProcess, running
from tests.support.ladders import age
from tests.support.node_side import FILES, NODE_PYTHON, ROOT, until
from tests.support.patience import patience
from tests.support.services import channels_file, ntfy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.node_side import HubWithNodes, Node, StandinProcess

HOW_TO = ROOT / "docs" / "how-to"


def commands(page: str) -> list[str]:
    """The commands of a page, in their order."""
    text = (HOW_TO / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(r"^ {4,6}((?:answer=\$\()?agent-bus .*)$", text, re.MULTILINE)


def run(node: Node, command: str) -> str:
    """Run a command of a page, which begins with `agent-bus`."""
    words = shlex.split(command)
    assert words.pop(0) == "agent-bus"
    return told(node, *words)


def test_the_commands_of_the_page_about_questions(
    hub: HubWithNodes, node: Node, gamma: Node, tmp_path: Path
) -> None:
    ask, for_scripts, answer, status = commands("ask-the-operator")
    question = run(node, ask).split()[1].rstrip(",")
    assert "question: open; operator may answer" in run(node, _about(status, question))

    cli = tmp_path / "bin" / "agent-bus"
    cli.parent.mkdir()
    cli.write_text(
        f"#!{NODE_PYTHON} -IS\nimport sys\nsys.path.insert(0, {str(FILES)!r})\n"
        "from agent_bus_client.__main__ import main\nsys.exit(main(sys.argv[1:]))\n"
    )
    cli.chmod(0o755)
    environ = marked(**node.env(), PATH=f"{cli.parent}:/usr/bin:/bin")
    script = ["/bin/sh", "-c", f'{for_scripts}; echo "got $answer"']
    with subprocess.Popen(script, env=environ, stdout=subprocess.PIPE, text=True) as asking:
        path = "/api/inbox?agent=operator"
        page = until(lambda: (hub.call("GET", path)["messages"] + [None, None])[1])
        chosen = {"to": "alpha", "body": "no", "data": {"answer": {"choice": "no"}}}
        hub.call("POST", "/api/send", {**chosen, "reply_to": page["id"]})
        output, _ = asking.communicate(timeout=patience())
    assert output == "got no\n"

    asked = told(
        node, "ask", "--as", "alpha", "gamma", "Now?", "--choices", "yes,no", "--wait", "0"
    )
    question = asked.split()[1].rstrip(",")
    run(gamma, _about(answer, question))
    assert 'gamma answered "yes"' in run(node, _about(status, question))


def test_a_named_agent_is_woken_for_urgent_mail_that_another_does_not_read(
    hub: HubWithNodes,
    node: Node,
    gateway: StandinProcess,
    online: Callable[[], None],
) -> None:
    online()
    send, status = commands("escalate")
    message = sent_id(run(node, send))
    age(_database(hub), message, minutes=5)
    told_beta = re.compile(r"told beta that it is unread by (\w{26})")
    notice = until(lambda: told_beta.search(run(node, _about(status, message))))
    assert notice
    until(lambda: hub.timeline(notice[1], "beta")["accepted_at"], what="beta was woken")
    page = told(node, "inbox", "--as", "beta")
    assert "> the disk of t640 is full" in page
    assert "alpha named you" in page
    assert gateway.url


def test_the_rules_of_the_page_are_those_of_a_fleet_that_it_describes() -> None:
    text = (HOW_TO / "escalate.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    said = yaml.safe_load(block)
    assert said["agent_groups"] == {"oncall": ["monitor", "triage"]}
    assert set(said["message_escalation"]) == {"default", "groups", "agents"}


def _about(command: str, message_id: str) -> str:
    return re.sub(r"01M7\w{22}", message_id, command)


def _database(hub: HubWithNodes) -> HubProcess:
    return HubProcess(hub.folder, store="sqlite")


def test_the_link_of_a_notification_answers_and_wakes_the_asker(tmp_path: Path) -> None:
    with ntfy() as phone:
        file = channels_file(tmp_path, {"name": "phone", "url": phone.url})
        with running(tmp_path, channels_file=file, page_url="https://bus.example.org") as hub:
            stream = hub.stream("n1", "role=watcher")
            stream.of_type("hello")
            data = {"question": {"choices": ["yes", "no"]}}
            fields = {"from": "alpha", "to": "operator", "priority": "urgent", "data": data}
            question = hub.client("n1").send("Deploy now?", **fields)["id"]
            until(lambda: phone.got, what="the operator is told")
            link = re.search(r"https://bus\.example\.org(/answer/\S+)", phone.got[0]["message"])
            assert link
            with contextlib.closing(
                http.client.HTTPConnection("127.0.0.1", hub.port, timeout=patience())
            ) as browser:
                browser.request("POST", link[1], "choice=yes")
                assert browser.getresponse().status == 303
            answer = stream.of_type("message").data
            assert (answer["reply_to"], answer["data"]) == (
                question,
                {"answer": {"choice": "yes"}},
            )
            box = stream.of_type("mailbox").data
            assert (box["agent"], box["unfetched"]) == ("alpha", 1)
