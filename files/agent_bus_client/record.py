"""What a frozen dataclass is, for classes that are loaded at each start of the command line.

`dataclasses` loads `inspect` and compiles methods for each class: with `typing`, that was a third
of the start. See docs/decisions/0060-the-start-of-the-command-line.md.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self, dataclass_transform
else:

    def dataclass_transform(**_: object) -> object:
        """Return what leaves a class as it is."""
        return lambda one: one


@dataclass_transform(frozen_default=True)
class Record:
    """A value whose fields are the annotations of its class, in their order.

    A field that has a value in the class has that as its default. Records of one class with equal
    fields are equal. There is one level of inheritance.
    """

    def __init__(self, *values: Any, **named: Any) -> None:  # noqa: ANN401 - checked by mypy
        of = type(self)
        fields = getattr(of, "__annotations__", {})  # Python 3.9: none without a field
        given = dict(zip(fields, values), **named)
        if len(given) < len(values) + len(named) or not given.keys() <= fields.keys():
            raise TypeError(f"{of.__name__} has the fields {', '.join(fields)}")
        for name in fields:
            # an AttributeError names the field that is missing
            self.__dict__[name] = given[name] if name in given else getattr(of, name)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name} cannot be changed: use `replaced`")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash(tuple(vars(self).values()))

    def __repr__(self) -> str:
        words = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({words})"

    def replaced(self, **changes: Any) -> Self:  # noqa: ANN401 - as above
        """Return a record with some fields changed."""
        return type(self)(**{**vars(self), **changes})
