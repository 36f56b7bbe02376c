"""Checks a tool's arguments against its schema; what is wrong is said so that a model mends it.

Only what the table uses of JSON Schema is known here: flat objects of strings, numbers, booleans,
objects and lists of strings.
"""

from __future__ import annotations

from agent_bus_mcp.caller import RefusedError

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from typing import Any


KINDS: dict[str, tuple[str, Any]] = {
    "string": ("a string", str),
    "boolean": ("true or false", bool),
    "integer": ("a whole number", int),
    "number": ("a number", (int, float)),
    "object": ("a JSON object", dict),
    "array": ("a list of strings", list),
}


def checked(name: str, schema: dict[str, Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of the tool `name`; those that are null count as left out.

    Raises:
        RefusedError: says all that is wrong with them.
    """
    known: dict[str, dict[str, Any]] = schema["properties"]
    given: dict[str, Any] = {}
    unknown, troubles = [], []
    for key, value in arguments.items():
        if value is None:
            continue
        if key not in known:
            unknown.append(f"{key[:40]!r} is unknown")
            continue
        given[key] = _as_meant(value, known[key])
        trouble = _trouble(given[key], known[key])
        if trouble:
            troubles.append(f"{key}: {trouble}")
    missing = [f"{key} is missing" for key in schema["required"] if key not in given]
    wrong = [*unknown, *missing, *troubles]
    if wrong:
        takes = ", ".join(f"{key}{'' if key in schema['required'] else '?'}" for key in known)
        raise RefusedError(f"{'; '.join(wrong)}. {name} takes: {takes or 'nothing'}", code="usage")
    return given


def _as_meant(value: object, schema: dict[str, Any]) -> object:
    """Return a value with what models often write turned into what they mean."""
    if schema["type"] == "array" and isinstance(value, str):
        return [value]
    if schema["type"] == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _trouble(value: object, schema: dict[str, Any]) -> str:
    """Return what is wrong with a value, or nothing."""
    words, kind = KINDS[schema["type"]]
    is_of_kind = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    if isinstance(value, list) and not (value and all(isinstance(one, str) for one in value)):
        is_of_kind = False
    trouble = ""
    if not is_of_kind:
        trouble = f"{words} is expected"
    elif isinstance(value, str) and not value.strip():
        trouble = "it is empty"
    elif value not in schema.get("enum", [value]):
        trouble = f"one of {', '.join(schema['enum'])} is expected"
    elif "minimum" in schema and not schema["minimum"] <= value <= schema["maximum"]:
        trouble = f"a number from {schema['minimum']} to {schema['maximum']} is expected"
    return trouble
