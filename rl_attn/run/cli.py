"""Command lines: a dataclass becomes flags, a YAML file gives values that flags override.

Every mistake of the user ends as one line on standard error and exit status 2.
"""

import contextlib
import dataclasses
import io
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import tyro
import yaml

from rl_attn.errors import UserError, choose

Args = TypeVar("Args")


def parse(args_type: type[Args], argv: Sequence[str], prog: str) -> Args:
    """Read `argv` into the dataclass; `--config FILE` supplies what the flags leave unsaid.

    The file's entries are put before the flags and go through the same parser, so they are
    checked for names, types and choices alike.
    """
    argv = list(argv)
    config = _config_path(argv)
    if config is not None:
        argv = _as_flags(load_yaml(Path(config)), args_type, config) + argv
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(args_type, args=argv, prog=prog)
    except SystemExit as end:
        if end.code in (0, None):  # --help
            raise
        raise UserError(_one_line(complaint.getvalue())) from None


def run_command(main: Callable[[list[str]], int | None]) -> None:
    """Run `main(argv)` as a process: its status; one line and 2 for a UserError; 130 for Ctrl-C;
    141 where nobody reads what it prints any more (`| head`)."""
    try:
        status = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the end
        status = 128 + signal.SIGPIPE
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:  # where a command has no gentler answer, or was asked twice
        print("interrupted", file=sys.stderr)
        status = 128 + signal.SIGINT
    sys.exit(status or 0)


def load_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping, or a UserError that says why the file is none."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"config file {path} does not exist") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"config file {path} is not readable YAML: {reason}") from None
    if not isinstance(values, dict):
        found = type(values).__name__
        raise UserError(f"config file {path} must hold `key: value` lines, found a {found}")
    return values


def as_flags(values: dict[str, Any]) -> list[str]:
    """Configuration keys and values as the words of a command line."""
    flags = []
    for key, value in values.items():
        flag = "--" + str(key).replace("_", "-")
        if isinstance(value, bool):  # flags without a value: --x and --no-x
            flags.append(flag if value else flag.replace("--", "--no-", 1))
        elif isinstance(value, list | tuple):
            flags += [flag, *map(str, value)]
        else:
            flags.append(f"{flag}={value}")  # one word: the value may begin with dashes
    return flags


def _config_path(argv: list[str]) -> str | None:
    for i, word in enumerate(argv):
        if word == "--config" and i + 1 < len(argv):
            return argv[i + 1]
        if word.startswith("--config="):
            return word.partition("=")[2]
    return None


def _as_flags(values: dict[str, Any], args_type: type, source: str) -> list[str]:
    fields = {field.name: field for field in dataclasses.fields(args_type)}
    for key, value in values.items():
        choose(f"key in {source}:", str(key), list(fields))
        is_switch = isinstance(fields[key].default, bool)
        if is_switch != isinstance(value, bool):
            rule = "must be" if is_switch else "cannot be"
            raise UserError(f"{key} in {source} {rule} true or false, got {value!r}")
    return as_flags(values)


def _one_line(panel: str) -> str:
    """tyro's framed message without its frame, its help text and its line breaks."""
    lines = [re.sub(r"[╭╮╰╯│─]+", " ", line).strip() for line in panel.splitlines()[1:]]
    lines = [line for line in lines if line]
    ends = ("Argument helptext", "For full helptext")
    cut = next((i for i, line in enumerate(lines) if line.startswith(ends)), len(lines))
    return " ".join(lines[:cut]) + "; --help lists every flag"
