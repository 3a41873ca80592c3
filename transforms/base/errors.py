"""Errors that the user can fix (exit code 2), and temporary ones (exit code 1)."""

from __future__ import annotations

import unicodedata


class UserError(Exception):
    """A mistake or a circumstance that the user can fix.

    The message is one line: what is wrong, where (file, row group, column), and what to do. Command lines print it to
    stderr without a traceback and exit with its code.
    """

    exit_code = 2


class UnavailableError(UserError):
    """Something that the job needs is unavailable now. There is nothing to fix: the same command continues later.

    Command lines exit with code 1.
    """

    exit_code = 1


def is_one_line(name: str) -> bool:
    """Whether a name is one line of text: UTF-8, without control characters and line breaks."""
    return not any(map(_is_control, name))


def shown(text: str) -> str:
    """A text from outside in one line: control characters, which terminals obey, and half characters as escapes."""
    return "".join(
        character.encode("unicode_escape").decode() if _is_control(character) else character
        for character in " ".join(text.split())
    )


def one_line(error: BaseException) -> str:
    """What an error says, or else its kind, to stand in a message; see `shown`."""
    return shown(str(error)) or type(error).__name__


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
