from __future__ import annotations

from typing import Any

import pytest

from agent_bus.a2a import cards

BASE = "https://hub:8091"
FLEET = cards.fleet(BASE, version="1.2.3")
AGENT = cards.agent(BASE, "alpha", version="1.2.3")


@pytest.mark.parametrize("card", [FLEET, AGENT], ids=["fleet", "agent"])
def test_a_card_has_what_both_versions_require(card: dict[str, Any]) -> None:
    of_1_0 = {
        "name", "description", "version", "supportedInterfaces", "capabilities",
        "defaultInputModes", "defaultOutputModes", "skills", "securitySchemes",
        "securityRequirements",
    }  # fmt: skip
    of_0_3 = {"protocolVersion", "url", "preferredTransport", "security"}
    assert of_1_0 | of_0_3 <= set(card)
    assert all(card[name] for name in of_1_0 | of_0_3)
    (skill,) = card["skills"]
    assert all(skill[name] for name in ("id", "name", "description", "tags"))


def test_both_bindings_and_0_3_are_at_the_agents_address() -> None:
    urls = {one["url"] for one in [*AGENT["supportedInterfaces"], *AGENT["additionalInterfaces"]]}
    assert urls == {AGENT["url"]} == {f"{BASE}/a2a/alpha"}


def test_a_scheme_is_said_in_the_words_of_both_versions() -> None:
    scheme = AGENT["securitySchemes"]["bearer"]
    assert scheme["httpAuthSecurityScheme"]["scheme"] == "Bearer"
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
