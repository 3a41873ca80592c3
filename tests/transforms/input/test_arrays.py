from __future__ import annotations

import sys

from transforms.input.arrays import WHITESPACE


def test_white_space_is_all_that_python_strips() -> None:
    others = {*map(chr, range(sys.maxunicode + 1))}.difference(WHITESPACE)
    assert not any(map(str.isspace, others))
    assert not WHITESPACE.strip()
