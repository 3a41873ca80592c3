"""Lines of a stream, as many together as are at hand."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator

LONGEST_LINE = 64 << 20  # bytes, as a whole answer of a rerank API may have
_PIECE = 1 << 16  # bytes that are read at once: what a pipe of Linux holds
# Seconds in which a writer that fills a pipe again is not taken for one that has paused.
_GRACE = 0.01


def lines_at_hand(descriptor: int, most: int) -> Iterator[list[bytes | None]]:
    """All lines of a stream, without their ends, in lists of those that are there at once.

    Args:
        descriptor: of the open stream.
        most: bytes of a list, beyond which it takes no further piece.

    Yields:
        At least one line each; None in place of one that is longer than LONGEST_LINE.

    Raises:
        OSError: the stream cannot be read.
    """
    held: list[bytes | None] = []
    pieces: list[bytes] = []  # pieces of a line without an end yet
    size = length = 0
    while True:
        if held and (size >= most or not select.select([descriptor], [], [], _GRACE)[0]):
            yield held
            held, size = [], 0
        piece = os.read(descriptor, _PIECE)
        whole, newline, rest = piece.rpartition(b"\n")
        if newline or (length and not piece):
            lines = b"".join([*pieces, whole]).split(b"\n")
            held += [None if length > LONGEST_LINE else lines[0], *lines[1:]]
            size += length + len(whole)
            pieces, length = [rest], len(rest)
        else:
            length += len(piece)
            pieces = [*pieces, piece] if length <= LONGEST_LINE else []
        if not piece:
            break
    if held:
        yield held
