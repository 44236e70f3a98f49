"""The last lines of a command: what it has left where, and what comes next; and its tables."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def console() -> "Console":
    """Standard output for tables of rich, in which names of classes and files are no markup."""
    from rich.console import Console

    return Console(file=sys.stdout, markup=False, emoji=False)


def say(**lines: object) -> None:
    """Print a line for each that is not None, the values one below the other.

    >>> say(video="runs/a/evaluation.mp4", next="rl-attn watch runs/a")
    video  runs/a/evaluation.mp4
    next   rl-attn watch runs/a
    """
    said = {name.replace("_", " "): value for name, value in lines.items() if value is not None}
    width = max(map(len, said), default=0)
    for name, value in said.items():
        print(f"{name:{width}}  {value}", flush=True)
