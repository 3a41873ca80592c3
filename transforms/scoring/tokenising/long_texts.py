"""Long texts in pieces, cut where a tokenizer ends a word whatever stands around: the ids of the pieces are the text's.

Of every token the tokenizers library gives back some hundreds of bytes, so that a text is read piece by piece.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

LONGEST = 100_000  # characters of a piece
_LETTERS = "0-9A-Za-z\u0410-\u044f\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fa5\uac00-\ud7a3"  # no mark of any script
# After a letter, which a blank or a stop neither joins nor changes in any normal form.
BEFORE_BLANKS = re.compile(f"(?<=[{_LETTERS}])(?=[ \n])")
BEFORE_BLANKS_AND_STOPS = re.compile(f"(?<=[{_LETTERS}])(?=[ \n,.;:!?\u3001\u3002\uff0c])")


def pieces(text: str, places: re.Pattern[str]) -> Iterator[str]:
    """The text cut at some of the places: into pieces of at most LONGEST characters, or to the next place after."""
    start = 0
    while len(text) - start > LONGEST:
        end = start + LONGEST
        near = [place.start() for place in places.finditer(text, start + LONGEST // 2, end)]
        cut = near[-1] if near else next((place.start() for place in places.finditer(text, end)), len(text))
        yield text[start:cut]
        start = cut
    if start < len(text) or not text:
        yield text[start:]
