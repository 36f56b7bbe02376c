"""The rules about who may write to whom: what is wrong with them, and where."""

from __future__ import annotations

from typing import Any

import pytest

GOOD = """\
all:
  vars:
    guests:
      laptop-anna: [anna-claude]
    agent_groups:
      pair: [alpha, anna-claude]
      nobody: []
    message_rights:
      - name: pairs keep to themselves
        from: "@pair"
        to: "@pair"
      - from: [anna-claude, beta]
        to:
          - alpha
          - operator
      - {from: all, to: []}
      - {from: "@nobody", to: all}
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


def test_rules_may_name_agents_guests_groups_all_and_nobody(check: Any) -> None:
    assert check(GOOD) == []


def test_no_rules_are_none(check: Any) -> None:
    head, rest = GOOD.split("    message_rights:\n")
    assert check(head + "    message_rights:\n" + rest[rest.index("hub:") :]) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            'from: "@pair"',
            'from: "@pear"',
            (
                "hosts.yml:10: rule 1 of message_rights has '@pear' in `from`, neither an agent "
                "nor a group; did you mean '@pair'?"
            ),
        ),
        (
            'to: "@pair"',
            "to: pair",
            (
                "hosts.yml:11: rule 1 of message_rights has 'pair' in `to`, neither an agent nor "
                'a group; it is a group: write "@pair"'
            ),
        ),
        (
            "          - operator",
            "          - opeator",
            "hosts.yml:15: rule 2 of message_rights has 'opeator' in `to`, neither an agent nor a",
        ),
        (
            "[anna-claude, beta]",
            "[anna-claude, bta]",
            (
                "hosts.yml:12: rule 2 of message_rights has 'bta' in `from`, neither an agent nor "
                "a group; did you mean 'beta'?"
            ),
        ),
        ("from: all", "from: operator", "hosts.yml:16: rule 3 of message_rights has operator in"),
        ("from: all", "from: bus", "hosts.yml:16: rule 3 of message_rights has 'bus' in `from`"),
        ("from: all", "from: []", "hosts.yml:16: rule 3 of message_rights is about nobody"),
        ("from: all, ", "", "hosts.yml:16: rule 3 of message_rights has no `from`"),
        (", to: []}", "}", "hosts.yml:16: rule 3 of message_rights has no `to`"),
        ("from: all", "form: all", "has an unknown setting 'form'; did you mean 'from'?"),
        ("{from: all, to: []}", "all", "hosts.yml:16: rule 3 of message_rights is 'all', not a"),
        (
            "name: pairs keep to themselves",
            'name: "two\\nlines"',
            "hosts.yml:9: rule 1 of message_rights has the name 'two\\nlines'; write one line",
        ),
    ],
)
def test_a_mistake_is_named_with_its_line(check: Any, old: str, new: str, expected: str) -> None:
    found = check(GOOD.replace(old, new, 1))
    assert any(expected in one for one in found), found


def test_what_is_no_list_is_named(check: Any) -> None:
    head, rest = GOOD.split("    message_rights:\n")
    found = check(head + "    message_rights: none\n" + rest[rest.index("hub:") :])
    assert found == [
        (
            "hosts.yml:8: message_rights is 'none', not a list of rules: "
            '`- {from: chef, to: ["@household", concierge]}`'
        )
    ]


def test_a_misspelt_variable_is_named(check: Any) -> None:
    found = check(GOOD.replace("message_rights:", "message_right:"))
    assert "hosts.yml:8: unknown variable 'message_right'; did you mean 'message_rights'?" in found
