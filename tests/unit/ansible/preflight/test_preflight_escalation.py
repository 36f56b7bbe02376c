"""The ladders of urgent mail: what is wrong with them, and where."""

from __future__ import annotations

from typing import Any

import pytest

GOOD = """\
all:
  vars:
    agent_groups:
      oncall: [beta]
    message_escalation:
      default:
        - {after_min: 30, to: operator}
      groups:
        oncall: [{after_min: 5, to: alpha}]
      agents:
        alpha:
          - {after_min: 10, to: "@oncall"}
        operator: []
hub:
  hosts:
    box:
nodes:
  hosts:
    box:
      agents: [alpha]
    mini:
      agents: [{name: beta}]
"""


def test_ladders_may_name_agents_groups_and_the_operator(check: Any) -> None:
    assert check(GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            'to: "@oncall"',
            "to: oncall",
            (
                "hosts.yml:12: message_escalation.agents.alpha.0.to is 'oncall', neither an agent"
                ' nor a group nor operator; it is a group: write "@oncall"'
            ),
        ),
        (
            "after_min: 30, to: operator",
            "after_min: 30, to: opeator",
            (
                "hosts.yml:7: message_escalation.default.0.to is 'opeator', neither an agent nor a"
                " group nor operator; did you mean 'operator'?"
            ),
        ),
        (
            "after_min: 5",
            "after_min: 5 min",
            (
                "hosts.yml:9: message_escalation.groups.oncall.0.after_min is '5 min', not a whole"
                " number of minutes from 1 to 10080"
            ),
        ),
        (
            "after_min: 5",
            "after: 5",
            (
                "hosts.yml:9: message_escalation.groups.oncall.0.after is no setting; a step is"
                ' like `- {after_min: 10, to: "@oncall"}`'
            ),
        ),
        (
            "        alpha:\n",
            "        alpa:\n",
            "hosts.yml:11: message_escalation.agents.alpa names no agent; did you mean 'alpha'?",
        ),
        (
            "      groups:\n        oncall:",
            "      groups:\n        on-call:",
            (
                "hosts.yml:9: message_escalation.groups.on-call names no group; did you mean"
                " 'oncall'?"
            ),
        ),
        (
            "      default:\n",
            "      defaults:\n",
            (
                "hosts.yml:6: message_escalation.defaults is no setting; did you mean 'default'?;"
                " there are default, groups, agents"
            ),
        ),
        (
            "operator: []",
            "operator: now",
            (
                "hosts.yml:13: message_escalation.agents.operator is 'now', not a list of steps"
                ' like `- {after_min: 10, to: "@oncall"}`'
            ),
        ),
    ],
)
def test_a_mistake_is_named_with_its_line(check: Any, old: str, new: str, expected: str) -> None:
    assert old in GOOD
    assert expected in check(GOOD.replace(old, new))


def test_what_is_no_mapping_is_refused(check: Any) -> None:
    head, rest = GOOD.split("    message_escalation:\n")
    found = check(head + "    message_escalation: soon\n" + rest[rest.index("hub:") :])
    assert found == [
        "hosts.yml:5: message_escalation is 'soon', not a mapping with default, groups, agents"
    ]
