"""The pages about the code say what the code is: each file, each name, each layer, each limit."""

from __future__ import annotations

import ast
import functools
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
ARCHITECTURE = ROOT / "docs" / "explanation" / "architecture.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
CODE = [path for room in ("files", "lab") for path in sorted((ROOT / room).rglob("*.py"))]
PLACES = (ROOT, ROOT / "files", ROOT / "files" / "agent_bus")
"""Where a path of the two pages may count from."""
FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
NOT_HERE = re.compile(r"NNNN|NAME|^docs/decisions/N|^/|^\d")
MODULE_LINES, FUNCTION_LINES, MODULES_IN_A_FOLDER, ROOMS = 400, 60, 10, 14


def spans(page: Path) -> list[tuple[str, list[str]]]:
    """Each place that a page names: a path, and the names in that file."""
    text = re.sub(
        r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    found = []
    for span in SPAN.findall(text):
        path, _, names = " ".join(span.split()).partition(": ")
        if re.fullmatch(r"[\w./*-]+\.(py|yml|j2|sql|md|mk|toml)", path) and not NOT_HERE.search(
            path
        ):
            found.append((path, [name.strip() for name in names.split(",") if name]))
    return found


def resolved(path: str) -> list[Path]:
    return [match for place in PLACES for match in sorted(place.glob(path))]


PLACES_NAMED = [
    pytest.param(path, names, id=f"{page.stem}-{path}-{'-'.join(names)}")
    for page in (ARCHITECTURE, CONTRIBUTING)
    for path, names in spans(page)
]


@functools.cache
def defined(path: Path) -> frozenset[str]:
    """What a module defines at its top, and `Class.method` of its classes."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            inner = (one for one in node.body if isinstance(one, ast.FunctionDef))
            found |= {f"{node.name}.{one.name}" for one in inner}
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return frozenset(found)


@pytest.mark.parametrize(("path", "names"), PLACES_NAMED)
def test_every_place_that_is_named_exists(path: str, names: list[str]) -> None:
    files = resolved(path)
    assert files, f"there is no {path}"
    for name in names:
        if path.endswith(".py"):
            assert all(name in defined(file) for file in files), f"{path} does not define {name}"
        else:
            assert f"name: {name}\n" in files[0].read_text(encoding="utf-8"), name


def test_the_pages_name_enough_to_be_worth_this() -> None:
    assert len(PLACES_NAMED) > 80
    assert sum(len(names) for _, names in spans(ARCHITECTURE)) > 40


def contracts() -> list[dict[str, Any]]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = settings["tool"]["importlinter"]["contracts"]
    return found


def layers_on_the_page(container: str) -> list[set[str]]:
    """The rooms of a container, top first.

    They are the rows of the table below a line that names the container alone, or stand in its
    one row of another table, parted by `>`.
    """
    text = ARCHITECTURE.read_text(encoding="utf-8")
    name = re.escape(container)
    table = re.search(rf"^`{name}`:\n\n((?:\|.*\n)+)", text, re.MULTILINE)
    if table:
        cells = [row.split("|")[1] for row in table[1].splitlines()[2:]]
    else:
        row = re.search(rf"^\| `{name}` \| (.*) \|$", text, re.MULTILINE)
        assert row, f"the page says nothing of {container}"
        cells = row[1].split(" > ")
    return [set(SPAN.findall(cell)) for cell in cells]


LAYERS = [contract for contract in contracts() if contract["type"] == "layers"]


@pytest.mark.parametrize("contract", LAYERS, ids=lambda one: one["containers"][0])
def test_the_layers_of_the_page_are_those_that_are_checked(contract: dict[str, Any]) -> None:
    checked = [
        {room.strip(" ()") for room in re.split(r"[|:]", layer)} for layer in contract["layers"]
    ]
    for container in contract["containers"]:
        assert layers_on_the_page(container) == checked


def test_every_room_is_in_a_layer_of_the_page() -> None:
    for contract in LAYERS:
        for container in contract["containers"]:
            folder = ROOT / "files" / Path(*container.split("."))
            if not folder.is_dir():
                continue
            there = {
                path.stem
                for path in folder.iterdir()
                if path.suffix == ".py" or (path / "__init__.py").exists()
            } - {"__init__"}
            assert there <= set().union(*layers_on_the_page(container)), container


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_every_module_is_short_enough_to_be_read_at_once() -> None:
    lengths = {named(path): path.read_text(encoding="utf-8").count("\n") for path in CODE}
    assert {name: lines for name, lines in lengths.items() if lines > MODULE_LINES} == {}


def test_every_function_is_short_enough_to_be_read_at_once() -> None:
    long = {}
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES:
                    long[f"{named(path)}: {node.name}"] = lines
    assert long == {}


def test_no_folder_has_more_modules_than_one_can_keep_in_mind() -> None:
    folders = {path.parent for path in CODE}
    counts = {
        named(folder): sum(path.name != "__init__.py" for path in folder.glob("*.py"))
        for folder in folders
    }
    assert {name: count for name, count in counts.items() if count > MODULES_IN_A_FOLDER} == {}
    rooms = [path for path in (ROOT / "files" / "agent_bus").iterdir() if path.is_dir()]
    assert sum((room / "__init__.py").exists() for room in rooms) <= ROOMS
