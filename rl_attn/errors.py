"""What the user got wrong: one line that names the value and the remedy, and exit status 2."""

from collections.abc import Iterable
from difflib import get_close_matches

#: Exit statuses of a command: for the user's mistake, and for a run whose numbers are no longer
#: finite. Trying again would not help in either case.
USERS_MISTAKE, NOT_FINITE = FOR_GOOD = (2, 3)


class UserError(ValueError):
    """Bad input: the message names the value, says what is wrong, and what to do."""


class TrainingError(Exception):
    """Training cannot go on; the message says where it broke. Trying again ends the same way."""


class EnvironmentFailed(RuntimeError):
    """An environment died or keeps failing; the message names it and the error, in one line."""


def one_line(error: BaseException, named: bool = False) -> str:
    """What an error says, for a message of one line; its kind where it says nothing.

    named: its kind in front.

    >>> one_line(ValueError("no\\n  such thing")), one_line(ValueError("no"), named=True)
    ('no such thing', 'ValueError: no')
    """
    kind, said = type(error).__name__, " ".join(str(error).split())
    return f"{kind}: {said}" if named else said or kind


def choose(kind: str, value: str, choices: Iterable[str]) -> str:
    """`value` if it is one of `choices`, else a UserError that suggests the nearest and lists all.

    >>> choose("map", "grad-cam", ["cam", "grad-cam"])
    'grad-cam'
    """
    by_lower_case = {choice.lower(): choice for choice in choices}
    if value in by_lower_case.values():
        return value
    meant = str(value).lower().replace("++", "-plus-plus")  # as names of flags have to say it
    close = get_close_matches(meant, by_lower_case, n=1, cutoff=0.5)
    hint = f" (did you mean {by_lower_case[close[0]]}?)" if close else ""
    listed = ", ".join(by_lower_case.values())
    raise UserError(f"unknown {kind} {value!r}{hint}: choose from {listed}")
