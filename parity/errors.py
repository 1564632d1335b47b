"""Errors that a user can mend."""


class ParityError(Exception):
    """Something the user can mend: the message says what was wrong, where, and what to do.

    The command line prints the message without a traceback and exits with `exit_code`.

    Parameters
    ----------
    message : str
        That.
    detail : str
        What the command line shows with --debug only, such as a worker's traceback.
    """

    exit_code = 2

    def __init__(self, message: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


def first_line(text: str | None) -> str:
    """Return the first line of a text that may go on with a traceback."""
    return next((line for line in (text or "").strip().splitlines() if line.strip()), "")


def brief(error: object, most: int = 300) -> str:
    """Return what an error of a library says, cut where it quotes a damaged file at length."""
    text = str(error)
    return text if len(text) <= most else f"{text[:most]}..."
