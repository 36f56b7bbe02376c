from agent_bus.core.guards.policy import canonical


def test_equal_rules_have_equal_texts() -> None:
    assert canonical({"b": [1, "ä"], "a": None}) == canonical({"a": None, "b": [1, "ä"]})
    assert canonical({"b": 1, "a": "ä"}) == '{"a":"ä","b":1}'


def test_the_order_of_a_list_is_kept() -> None:
    assert canonical([1, 2]) != canonical([2, 1])
