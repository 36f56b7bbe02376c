from __future__ import annotations

import pytest

from tests.support.module import answer_of

pytestmark = pytest.mark.usefixtures("both_ways")


def test_it_answers_what_a_command_printed() -> None:
    answer = answer_of("plain_command", {"argv": ["printf", "%s\\n", "two words"]})
    assert (answer["changed"], answer["rc"], answer["stdout"]) == (False, 0, "two words")


def test_it_fails_with_the_command_s_words() -> None:
    answer = answer_of("plain_command", {"argv": ["sh", "-c", "echo no >&2; exit 3"]})
    assert answer["failed"]
    assert (answer["rc"], answer["stderr"]) == (3, "no")


def test_a_program_that_is_not_there_is_told() -> None:
    answer = answer_of("plain_command", {"argv": ["/no/such/program"]})
    assert answer["failed"]
    assert "No such file or directory" in str(answer)
