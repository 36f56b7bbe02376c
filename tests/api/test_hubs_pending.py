"""Questions and the ladder with two hubs on one database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.support.hubs import hubs_in
from tests.support.ladders import age, steps, wait_for_steps
from tests.support.patience import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.hub import HubProcess


@pytest.fixture(scope="module")
def hubs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[HubProcess]]:
    with hubs_in(tmp_path_factory.mktemp("hubs")) as both:
        yield both


def test_of_two_answers_at_two_hubs_one_counts(hubs: list[HubProcess]) -> None:
    data = {"question": {"choices": ["yes", "no"]}}
    fields = {"from": "alpha", "to": "operator", "data": data}
    for _ in range(5):
        question = hubs[0].client("n1").send("Now?", **fields)["id"]

        def answer(place: int, question: str = question) -> int:
            choice = ("yes", "no")[place]
            body = {
                "to": "alpha", "body": choice, "reply_to": question,
                "data": {"answer": {"choice": choice}},
            }  # fmt: skip
            return hubs[place].client(None).post("/api/send", body).status

        with ThreadPoolExecutor(2) as pool:
            found = sorted(pool.map(answer, (0, 1)))
        assert found == [201, 409]


def test_steps_are_taken_once_and_go_on_after_a_hub_is_killed(tmp_path: Path) -> None:
    ladder = {"agents": {"gamma": [{"after_min": 10, "to": "delta"}]}}
    with hubs_in(tmp_path) as hubs:
        assert hubs[0].enrol(escalation=ladder).status == 200
        fields = {"from": "alpha", "to": "gamma", "priority": "urgent"}
        message = hubs[0].client("n1").send("help", **fields)["id"]
        age(hubs[0], message, minutes=10)
        (first,) = wait_for_steps(hubs[1], message, "delta")
        for hub in hubs:
            hub.hang_up()
        hubs[0].kill()
        age(hubs[1], message, minutes=10)
        after = wait_for_steps(hubs[1], message, "delta", "operator")
        assert after[0] == first
        hubs[0].start()
        wait_until(lambda: steps(hubs[0], message) == after, "the hub that is back agrees")
        page = hubs[0].client("n3").get("/api/inbox?agent=delta").body["messages"]
        assert [m["id"] for m in page] == [first["notice_id"]]
