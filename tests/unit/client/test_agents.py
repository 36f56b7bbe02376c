from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_bus_client import agents


@given(
    st.text(max_size=70)
    | st.text("aZ09-_ \n", max_size=70)
    | st.from_regex(agents.NAME)
    | st.from_regex(agents.NAME, fullmatch=True)
)
def test_a_name_is_what_its_pattern_says(text: str) -> None:
    assert agents.is_name(text) == bool(re.fullmatch(agents.NAME, text))


@pytest.mark.parametrize("text", ["a" * 63, "a" * 64, "a--", "0", "a\n", "é", "²", "_", "-"])
def test_an_edge_of_names_is_what_the_pattern_says(text: str) -> None:
    assert agents.is_name(text) == bool(re.fullmatch(agents.NAME, text))
