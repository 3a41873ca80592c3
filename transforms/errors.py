"""The exception that means "you can mend this yourself", and its one exception."""


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


def one_line(error: BaseException) -> str:
    """What an error says, or else its kind, without line breaks, to stand in a message."""
    return " ".join(str(error).split()) or type(error).__name__
