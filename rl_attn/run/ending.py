"""The last lines of a command: what it has left where, and what comes next; and its tables."""

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

#: What `uv run` sets for what it starts, whose commands lie on no other path.
_UV_RUN = "UV_RUN_RECURSION_DEPTH"


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
        value = typed(value) if isinstance(value, str) else value
        print(f"{name:{width}}  {value}", flush=True)


def typed(line: str) -> str:
    """A command of ours as the user has to type it: behind `uv run` if that started this one."""
    return f"uv run {line}" if line.startswith("rl-attn ") and _UV_RUN in os.environ else line
