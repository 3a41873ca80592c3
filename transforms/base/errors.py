"""The exception that means "you can mend this yourself", and its one exception."""

from __future__ import annotations

import unicodedata


class UserError(Exception):
    """A mistake or a circumstance that the user can mend.

    The message is one line: what is wrong, where (file, row group, column), and what to do. Command lines print it to
    stderr without a traceback and exit with its code.
    """

    exit_code = 2


class UnavailableError(UserError):
    """Something that the job needs does not answer now. Nothing is to be mended: the same command continues later.

    Command lines exit with code 1.
    """

    exit_code = 1


def can_be_told(name: str) -> bool:
    """Whether a name can stand in a line of text: UTF-8, without control characters and line breaks."""
    return not any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in name)


def one_line(error: BaseException) -> str:
    """What an error says, or else its kind, without line breaks, to stand in a message."""
    return " ".join(str(error).split()) or type(error).__name__
