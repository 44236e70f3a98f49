"""Refuses commands that cannot be imported and flags that they do not have, before any run.

A command of this project has a dataclass `main.settings`, or one that depends on the words,
`args_type(words)`: the words are parsed as the command itself would parse them, and if its module
has a `validate(settings)`, that looks at them too. Of any other command the flags are looked up
in its --help. This happens in a process of its own, since importing a command may take seconds and
much memory:

    python -m rl_attn.studies.check     < [[module, [word, ...], whether files exist], ...]
"""

import importlib
import json
import re
import subprocess
import sys
import typing
from collections.abc import Iterable, Sequence
from functools import lru_cache

from rl_attn.errors import UserError, choose, one_line
from rl_attn.run.cli import parse, run_command
from rl_attn.run.commands import settings_of
from rl_attn.studies.plan import Command, Job


def check_commands(jobs: Iterable[Job]) -> None:
    """Look at every command of every job; UserError with the first complaint."""
    commands = [(c, not job.after) for job in jobs for c in (job.start, *job.then)]
    words = json.dumps([[command.module, command.arguments, whole] for command, whole in commands])
    here = [sys.executable, "-m", "rl_attn.studies.check"]
    checked = subprocess.run(here, input=words, capture_output=True, text=True)
    if checked.returncode != 0:
        lines = checked.stderr.strip().splitlines() or ["it gave no reason"]
        raise UserError(lines[-1].removeprefix("error: "))


def check(command: Command, whole: bool = True) -> None:
    """UserError if the command cannot be imported or does not understand its arguments.

    Args:
        whole: also `validate`, which may look for files: not where another run makes them first.
    """
    module = import_command(command.module)
    try:
        kind = settings_of(module, command.arguments)
        if kind is not None:
            settings = parse(kind, command.arguments, command.module)
            if whole and hasattr(module, "validate"):
                module.validate(settings)
        else:
            _check_flags(command.module, command.arguments)
    except UserError as error:
        raise UserError(f"{command.module}: {error} (in: {command})") from None
    except SystemExit:
        raise UserError(f"{command.module} prints its help and ends (in: {command})") from None


@lru_cache
def import_command(name: str) -> typing.Any:
    """The module of a command."""
    try:
        return importlib.import_module(name)
    except Exception as error:  # whatever somebody's module does as it is imported
        reason = one_line(error)
        raise UserError(f"command {name} cannot be imported: {reason}") from None


def _check_flags(module: str, words: Sequence[str]) -> None:
    known = _flags_in_help(module)
    for word in words:
        if word.startswith("--"):
            choose("flag", word.partition("=")[0], known)


@lru_cache
def _flags_in_help(module: str) -> tuple[str, ...]:
    answer = subprocess.run(
        [sys.executable, "-m", module, "--help"], capture_output=True, text=True
    )
    found = tuple(dict.fromkeys(re.findall(r"(?<![\w-])--[\w-]+", answer.stdout)))
    if answer.returncode != 0 or not found:
        raise UserError(f"it has no main.settings, and its --help names no flags: {module}")
    return found


def main(argv: list[str]) -> int:
    for module, words, whole in json.load(sys.stdin):
        check(Command(module, tuple(words)), whole)
    return 0


if __name__ == "__main__":
    run_command(main)
