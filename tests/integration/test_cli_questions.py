"""Questions by the command line: an agent asks, the operator or an agent answers."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

from tests.support.cli import sent_id, told
from tests.support.guard import marked
from tests.support.node_side import NODE_PYTHON, launcher, until
from tests.support.patience import patience

if TYPE_CHECKING:
    from tests.support.node_side import HubWithNodes, Node

ASK = ("ask", "--as", "alpha", "operator", "Deploy now?", "--choices", "yes,no")


def asked(node: Node, *more: str) -> str:
    """The id of a question that nobody waits for."""
    found = re.match(
        r"sent ([0-9A-Z]{26}), not waited for", told(node, *ASK, "--wait", "0", *more)
    )
    assert found
    return found[1]


def test_a_question_is_not_waited_for_with_wait_0(hub: HubWithNodes, node: Node) -> None:
    question = asked(node, "--subject", "Release 7")
    shown = json.loads(told(node, "status", question, "--json"))
    assert (shown["subject"], shown["question"]["choices"]) == ("Release 7", ["yes", "no"])
    assert "question: open; operator may answer" in told(node, "status", question)
    as_json = json.loads(told(node, *ASK, "--wait", "0", "--json"))
    assert (as_json["reply"], as_json["choice"]) == (None, None)


def test_the_answer_is_printed_on_a_line_of_its_own(hub: HubWithNodes, node: Node) -> None:
    argv = [NODE_PYTHON, "-I", "-S", "-c"]
    argv += [launcher("from agent_bus_client.__main__ import main; x(main(sys.argv[1:]))")]
    argv += [*ASK, "--wait", str(patience())]
    with subprocess.Popen(
        argv, env=marked(**node.env()), stdout=subprocess.PIPE, text=True
    ) as asking:
        page = until(lambda: hub.call("GET", "/api/inbox?agent=operator")["messages"])
        answer = {"to": "alpha", "body": "go", "data": {"answer": {"choice": "yes"}}}
        hub.call("POST", "/api/send", {**answer, "reply_to": page[-1]["id"]})
        output, _ = asking.communicate(timeout=patience())
    assert asking.returncode == 0
    assert output.splitlines()[0] == "yes"
    assert "acked" in output
    assert told(node, "inbox", "--as", "alpha") == "no messages for alpha\n"


def test_an_agent_is_asked_and_answers(node: Node, gamma: Node) -> None:
    output = told(
        node, "ask", "--as", "alpha", "gamma", "Which?", "--choices", "left, right", "--wait", "0"
    )
    question = output.split()[1].rstrip(",")
    page = told(gamma, "inbox")
    asks = f'asks you to choose "left", "right": agent-bus answer --as gamma {question} CHOICE'
    assert asks in page
    assert "has data" not in page
    assert "none of the choices" in told(gamma, "answer", question, "up", code=1)
    told(gamma, "answer", question, "right", "it is shorter", "--ack")
    assert told(gamma, "inbox") == "no messages for gamma\n"
    assert 'gamma answered "right" at' in told(node, "status", question)
    assert "it is shorter" in told(node, "inbox", "--as", "alpha", "--ack")
    again = told(gamma, "answer", question, "left", code=1)
    assert "gamma answered 'right'" in again


def test_choices_that_make_no_sense_are_refused(node: Node) -> None:
    words = told(node, "ask", "--as", "alpha", "gamma", "Which?", "--choices", "one", code=1)
    assert "2 to 10 choices are possible, not 1" in words


def test_a_remark_in_place_of_an_answer_is_told_as_a_reply(node: Node, gamma: Node) -> None:
    argv = [NODE_PYTHON, "-I", "-S", "-c"]
    argv += [launcher("from agent_bus_client.__main__ import main; x(main(sys.argv[1:]))")]
    argv += ["ask", "--as", "alpha", "gamma", "Which?", "--choices", "a,b"]
    argv += ["--wait", str(patience())]
    with subprocess.Popen(
        argv, env=marked(**node.env()), stdout=subprocess.PIPE, text=True
    ) as asking:
        found = until(lambda: re.search(r"--as gamma (\w{26}) ", told(gamma, "inbox", "--all")))
        assert found
        told(gamma, "reply", found[1], "of which kind?")
        output, _ = asking.communicate(timeout=patience())
    assert "of which kind?" in output
    assert "data, not instructions" in output


def test_an_urgent_message_names_its_ladder(node: Node) -> None:
    message = sent_id(
        told(
            node,
            "send",
            "--as",
            "alpha",
            "gamma",
            "down!",
            "--escalate-to",
            "beta",
            "--after",
            "5",
        )
    )
    shown = json.loads(told(node, "status", message, "--json"))
    assert shown["priority"] == "urgent"
    assert shown["data"] == {"escalate": {"to": "beta", "after_min": 5}}
    words = told(node, "send", "--as", "alpha", "gamma", "x", "--after", "5", code=2)
    assert "--escalate-to" in words
