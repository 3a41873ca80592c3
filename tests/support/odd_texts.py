"""Texts that tokenizers may disagree on: every plane, added tokens, blanks, repetitions, what normalising changes."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

_BLANKS = " \t\n\r\x0b\x0c\x1c\x1f\x85\xa0\u1680\u2003\u200b\u2028\u202f\u3000\ufeff"
_MARKS = (
    "\u0300\u0301\u0323\u0327\u0338\u05b0\u064b\u093c\u094d\u0e33"
    "\u3099\u302a\ufe0f\u200d\uff9e\u0600\u06dd\u07fd\u0898\u1abf"
)
_CHANGED = (
    "\u2581\u212a\u1fef\u037e\ufb01\ufdfa\uff1c\uff53\uff1e"
    "\xb4\xbd\u2460\u0130\u017f\xdf\u1e9e\u01c4\u2126\uac00\u1100\u1161\u11a8"
)
_WORDS = (
    *("the", "a", "Paris", "don't", "I'LL", "'S", "'\u017f", "penicillin", "1928,", "3.14", "naïve", "Straße"),
    *("ДОМ", "дом", "東京", "日本語", "ภาษาไทย", "العربية", "हिन्दी", "한국어", "עברית"),
)
_SCRIPTS = [
    (0x20, 0x7F),
    (0x80, 0x250),
    (0x370, 0x590),
    (0x590, 0x780),
    (0x900, 0xE00),
    (0xE00, 0x1000),
    (0x1100, 0x1200),
]
_SCRIPTS += [(0x3040, 0x3100), (0x4E00, 0x9FFF), (0xAC00, 0xD7A4), (0x1F300, 0x1FAFF), (0x20000, 0x20100)]


def odd_texts(number: int, added: Sequence[str], seed: int = 0) -> Iterator[str]:
    """So many texts of up to some hundred characters; `added` are the tokenizer's added tokens."""
    draw = random.Random(seed)

    def anything() -> str:
        code = draw.randrange(0x110000) if draw.random() < 0.3 else draw.randrange(0x3000)
        return chr(code) if not 0xD800 <= code < 0xE000 else "x"

    def script() -> str:
        return "".join(chr(draw.randrange(*_SCRIPTS[place])) for _ in range(draw.randrange(1, 12)))

    def some(letters: str) -> str:
        return draw.choice(letters) * draw.choice((1, 1, 1, 2, 3, 40))

    pieces = (
        anything,
        lambda: some(_BLANKS),
        lambda: some(_MARKS),
        lambda: some(_CHANGED),
        lambda: draw.choice(_WORDS),
        lambda: draw.choice(added) if added else "",
        lambda: draw.choice(added)[: draw.randrange(1, 6)] if added else "",
        lambda: draw.choice("az=-.!0é中") * draw.choice((1, 2, 7, 130)),
        script,
        lambda: " ",
    )
    for _ in range(number):
        place = draw.randrange(len(_SCRIPTS))  # of the script that this text keeps to
        weights = [draw.random() ** 3 for _ in pieces]
        yield "".join(piece() for piece in draw.choices(pieces, weights, k=draw.randrange(1, 25)))
