"""The pages as a reader finds them: every page is reached, no link is dead, lines are short."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from agent_bus_client.cli import parser

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"
DECISIONS = DOCS / "decisions"
START = ROOT / "README.md"
PAGES = sorted(
    [
        *DOCS.rglob("*.md"),
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
        ROOT / "findings" / "README.md",
        ROOT / "lab" / "gateway_standin" / "README.md",
    ]
)
FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
LONGEST = 120


def prose(page: Path) -> str:
    """A page without its blocks of code, which may show links and long lines."""
    return FENCE.sub(lambda block: "\n" * block[0].count("\n"), page.read_text(encoding="utf-8"))


def links(page: Path) -> list[tuple[Path, str]]:
    """Each link of a page into the repository: the file and the anchor."""
    found = [link for link in LINK.findall(prose(page)) if "://" not in link]
    parts = [link.partition("#") for link in found]
    return [((page.parent / path if path else page).resolve(), name) for path, _, name in parts]


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    titles = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]
    return set(plain)


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_no_link_is_dead(page: Path) -> None:
    for target, anchor in links(page):
        assert target.exists(), target
        if anchor:
            assert anchor in anchors(target), f"{target}#{anchor}"


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = {START}, [START]
    while waiting:
        for target, _ in links(waiting.pop()):
            page = target / "README.md" if target.is_dir() else target
            if page.suffix == ".md" and page.exists() and page not in reached:
                reached.add(page)
                waiting.append(page)
    assert [named(page) for page in PAGES if page not in reached] == []


def test_the_index_links_every_page_of_the_four_kinds() -> None:
    linked = {target for target, _ in links(DOCS / "README.md")}
    kinds = [DOCS / kind for kind in ("tutorial", "how-to", "reference", "explanation")]
    pages = {page for kind in kinds for page in kind.glob("*.md")}
    assert {named(page) for page in pages - linked} == set()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_lines_of_prose_are_short(page: Path) -> None:
    lines = enumerate(prose(page).splitlines(), start=1)
    shown = [(number, line) for number, line in lines if not re.match(r" *\||    |<!--", line)]
    assert [number for number, line in shown if len(line) > LONGEST] == []


def test_the_index_of_decisions_has_each_with_its_number_and_title() -> None:
    index = (DECISIONS / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| \[([^\]]+)\]\((\S+)\) \| \S.*\. \|$", index, re.MULTILINE)
    pages = sorted(page.name for page in DECISIONS.glob("0*.md"))
    assert sorted(name for _, _, name in rows) == pages
    for number, title, name in rows:
        heading = (DECISIONS / name).read_text(encoding="utf-8").splitlines()[0]
        assert heading.startswith(f"# {number}. {title}")
        assert name.startswith(f"{int(number):04}-")


def test_each_missing_number_of_a_decision_is_explained() -> None:
    """The index says which numbers were never given, as `numbers 4 to 9`."""
    index = (DECISIONS / "README.md").read_text(encoding="utf-8")
    given = {int(page.name[:4]) for page in DECISIONS.glob("0*.md")}
    ranges = re.findall(r"[Nn]umbers (\d+) to (\d+)", index)
    unused = {number for first, last in ranges for number in range(int(first), int(last) + 1)}
    assert set(range(1, max(given) + 1)) - given == unused


def test_no_word_of_the_glossary_is_explained_twice() -> None:
    glossary = (DOCS / "glossary.md").read_text(encoding="utf-8")
    words = re.findall(r"^\| \*\*([^*]+)\*\*", glossary, re.MULTILINE)
    assert len(words) > 40
    assert len(words) == len(set(words))


def test_every_make_target_that_a_page_names_exists() -> None:
    makefiles = [ROOT / "Makefile", *ROOT.glob("*/*.mk"), *ROOT.glob("tests/*/*.mk")]
    rules = re.compile(r"^([a-z][\w-]*(?: [a-z][\w-]*)*):(?!=)", re.MULTILINE)
    targets = {
        target
        for makefile in makefiles
        for names in rules.findall(makefile.read_text(encoding="utf-8"))
        for target in names.split()
    }
    named_in = re.compile(r"(?:^ *\$? ?|`)make ([a-z][\w-]*)", re.MULTILINE)
    unknown = {
        f"{named(page)}: {target}"
        for page in PAGES
        for target in named_in.findall(page.read_text(encoding="utf-8"))
        if target not in targets
    }
    assert unknown == set()


def test_every_module_that_a_page_runs_exists() -> None:
    for page in PAGES:
        for name in re.findall(r"python -m ([\w.]+)", page.read_text(encoding="utf-8")):
            path = Path(*name.split("."))
            places = [ROOT / path, ROOT / "files" / path]
            assert any(
                place.with_suffix(".py").exists() or (place / "__main__.py").exists()
                for place in places
            ), f"{named(page)}: {name}"


def test_every_command_of_an_agent_is_one_that_the_parser_takes() -> None:
    shown = re.compile(r"^ *(?:\$ )?agent-bus ([a-z][^#\n`|]*)", re.MULTILINE)
    commands = [
        (named(page), command)
        for page in PAGES
        if page.name != "CHANGELOG.md"
        for command in shown.findall(page.read_text(encoding="utf-8"))
    ]
    assert len(commands) >= 6
    for page, command in commands:
        try:
            parser.parse(shlex.split(command))
        except SystemExit:
            pytest.fail(f"{page}: agent-bus {command}")
