from __future__ import annotations

import pytest

from agent_bus_client.record import Record


class Point(Record):
    x: int
    y: int = 2
    names: tuple[str, ...] = ()


class Other(Record):
    x: int
    y: int = 2
    names: tuple[str, ...] = ()


class Nothing(Record):
    """Has no field."""


def test_fields_are_given_by_place_or_name_or_have_a_default() -> None:
    point = Point(1, names=("a",))
    assert (point.x, point.y, point.names) == (1, 2, ("a",))
    assert repr(point) == "Point(x=1, y=2, names=('a',))"
    assert vars(Point(1, 5)) == {"x": 1, "y": 5, "names": ()}
    assert repr(Nothing()) == "Nothing()"


def test_equal_fields_of_one_class_make_equal_records() -> None:
    assert Point(1) == Point(x=1, y=2)
    assert Point(1) != Point(2)
    assert Point(1) != Other(1)
    assert len({Point(1), Point(1, 2), Point(3)}) == 2
    assert Nothing() == Nothing()


def test_a_record_is_never_changed_but_replaced() -> None:
    point = Point(1)
    with pytest.raises(AttributeError, match="x cannot be changed"):
        point.x = 5  # type: ignore[misc]
    assert point.replaced(y=7) == Point(1, 7)
    assert point == Point(1)


@pytest.mark.parametrize(
    ("values", "named"), [((1, 2, (), 4), {}), ((1,), {"z": 1}), ((1,), {"x": 1})]
)
def test_a_field_that_is_unknown_or_given_twice_is_refused(
    values: tuple[object, ...], named: dict[str, object]
) -> None:
    with pytest.raises(TypeError, match="x"):
        Point(*values, **named)  # type: ignore[arg-type]


def test_a_field_that_is_missing_is_named() -> None:
    with pytest.raises(AttributeError, match="x"):
        Point(y=1)  # type: ignore[call-arg]
