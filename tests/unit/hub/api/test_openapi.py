from __future__ import annotations

import json
import re
import sys
from typing import Any

import pytest

from agent_bus.__main__ import main
from agent_bus.api import openapi
from agent_bus.api.models import fields
from agent_bus.core import errors
from tests.support.hub import REPOSITORY

DOCUMENT = openapi.document()
OPERATIONS = [
    (path, method, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]
JOINER = 0x200D


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if "$ref" in value else set()
        return own.union(*map(references, value.values()))
    return set().union(*map(references, value)) if isinstance(value, list) else set()


def all_errors(base: type[errors.BusError] = errors.BusError) -> set[type[errors.BusError]]:
    direct = set(base.__subclasses__())
    return direct.union(*map(all_errors, direct))


def test_the_committed_document_is_the_served_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["openapi"]) == 0
    committed = (REPOSITORY / "docs/reference/openapi.json").read_text()
    assert capsys.readouterr().out == committed, "run docs/generate_hub.py"


def test_every_reference_leads_somewhere() -> None:
    schemas_there = DOCUMENT["components"]["schemas"]
    for reference in references(DOCUMENT):
        assert reference.removeprefix("#/components/schemas/") in schemas_there


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_every_call_is_described(path: str, method: str, operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert {"400", "500", "503"} <= set(operation["responses"])
    is_open = not operation["security"]
    assert is_open == (path in {"/livez", "/readyz", "/api/openapi.json"})
    assert ("401" in operation["responses"]) is not is_open
    assert set(re.findall(r"{(\w+)}", path)) == {
        p["name"] for p in operation["parameters"] if p["in"] == "path"
    }


def test_every_problem_is_answered_by_some_call_or_said_to_be_general() -> None:
    codes = set()
    for _, _, operation in OPERATIONS:
        for answer in operation["responses"].values():
            for media, content in answer.get("content", {}).items():
                if media == "application/problem+json":
                    codes |= set(content["schema"]["properties"]["code"]["enum"])
    words = DOCUMENT["info"]["description"]
    for error in all_errors():
        assert error.code in codes or f"`{error.code}`" in words


def test_the_codes_of_problems_are_unique_and_stable_words() -> None:
    found = [error.code for error in all_errors()]
    assert len(found) == len(set(found))
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in found)


@pytest.mark.parametrize("emoji", ["👩🏽‍🚀", "🏳️‍🌈", "🙂‍↔️"])
def test_a_joiner_stands_between_the_parts_of_an_emoji_only(emoji: str) -> None:
    assert fields._plain_line(f"up {emoji} and away") == f"up {emoji} and away"
    for hidden in (
        "ad\u200dmin",
        "\u200dadmin",
        "admin\u200d",
        "🚀\u200dadmin",
        "-\u200d-",
        "🚀\u200d\u200d🚀",
    ):
        with pytest.raises(ValueError, match=r"U\+200D"):
            fields._plain_line(hidden)


def test_the_pattern_of_a_line_says_what_its_validator_refuses() -> None:
    pattern = re.compile(fields.PLAIN_LINE)
    for number in range(min(sys.maxunicode, 0xFFFF)):
        if 0xD800 <= number <= 0xDFFF or number == JOINER:
            continue
        try:
            fields._plain_line(chr(number))
            accepted = True
        except ValueError:
            accepted = False
        assert bool(pattern.fullmatch(chr(number))) == accepted, hex(number)


def test_the_document_names_nobody() -> None:
    text = json.dumps(DOCUMENT)
    assert not {"alpha", "beta"} & set(re.findall(r"\w+", text))
