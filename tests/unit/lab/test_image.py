from __future__ import annotations

from typing import TYPE_CHECKING

from lab import image

if TYPE_CHECKING:
    from pathlib import Path


def test_the_hash_follows_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "units").mkdir()
    (tmp_path / "units" / "a").write_text("1")
    first = image.content_hash(tmp_path)
    assert image.content_hash(tmp_path) == first
    (tmp_path / "units" / "a").write_text("2")
    second = image.content_hash(tmp_path)
    (tmp_path / "units" / "a").rename(tmp_path / "units" / "b")
    assert len({first, second, image.content_hash(tmp_path)}) == 3
