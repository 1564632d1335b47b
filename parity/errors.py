"""Errors that a user can mend."""


class ParityError(Exception):
    """Something the user can mend: the message says what was wrong, where, and what to do.

    The command line prints the message without a traceback and exits with `exit_code`.
    """

    exit_code = 2
