"""How much of a text has been said before: w-shingling and the Jaccard index.

Source: Broder, "On the resemblance and containment of documents" (1997). Pure; the work is bounded
by `LOOKED_AT` and by how many texts are remembered.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

LOOKED_AT: Final = 2048
"""Characters of a body that count. Who repeats himself does so from the first line on, and 2 KiB
cost 0.1 ms."""
SHINGLE: Final = 3
"""Words of a shingle: with fewer all English is alike, with more one changed word hides a lot."""
SHORT: Final = 12
"""A text of fewer words is compared by its words: it has too few shingles to share any."""
NEAR: Final = 0.5
"""Jaccard index from which two texts are near-equal: half of all their shingles are in both. The
same checklist with one more item ticked has 0.6 to 0.9, two reviews of one change below 0.2."""
SAID: Final = 0.75
"""Share of a short text's words that were said before, by whomever, from which it says nothing
new: thanks come in many variants, made of the same few words."""
_WORD: Final = re.compile(r"\w+")


def shingles(body: str) -> frozenset[int]:
    """The shingles of a body, without what it quotes: a quote repeats what another one said."""
    text = body[:LOOKED_AT]
    if ">" in text:
        lines = [line for line in text.splitlines() if not line.lstrip().startswith(">")]
        text = "\n".join(lines)
    words = _WORD.findall(text.lower())
    if not words:
        return frozenset((hash(text.strip()),))
    if len(words) < SHORT:
        return frozenset(map(hash, words))
    return frozenset(map(hash, zip(*(words[at:] for at in range(SHINGLE)), strict=False)))


def says_nothing_new(text: frozenset[int], earlier: Collection[frozenset[int]]) -> bool:
    """Whether a text is near-equal to an earlier one or, if short, made of their words."""
    for other in earlier:
        common = len(text & other)
        if common >= NEAR * (len(text) + len(other) - common):
            return True
    if len(text) >= SHORT or not earlier:
        return False
    said = sum(1 for one in text if any(one in other for other in earlier))
    return said >= SAID * len(text)
