"""Command lines: a dataclass becomes flags, a YAML file gives values that flags override.

Nested dataclasses are sections: `--teacher.model` on the command line, `teacher: {model: ...}` or
`teacher.model: ...` in YAML. Every mistake of the user ends as one line on standard error and exit
status 2.
"""

import contextlib
import io
import os
import re
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any, TypeVar, get_origin

import tyro

from rl_attn.errors import USERS_MISTAKE, EnvironmentFailed, UserError, choose
from rl_attn.run.configs import find_config
from rl_attn.run.files import full_disk
from rl_attn.run.help import help_text
from rl_attn.run.near_misses import unknown_flag, whole_numbers
from rl_attn.run.settings import alternatives, check, fields_of, short
from rl_attn.run.signals import exits, silence, tell
from rl_attn.run.yaml import load_yaml

T = TypeVar("T")


def parse(settings_type: type[T], argv: Sequence[str], prog: str) -> T:
    """Read `argv` into the dataclass; `--config FILE` supplies what the flags leave unsaid.

    The file's entries are put before the flags and go through the same parser, so they are
    checked for names, types, choices and the constraints of `rl_attn.run.settings` alike.
    """
    argv = list(argv)
    if {"-h", "--help"} & set(argv):
        print(help_text(settings_type, prog))
        raise SystemExit(0)
    config = words_of(argv, "--config")
    if config:
        file = find_config(config[0])
        argv = _checked_flags(load_yaml(file), settings_type, str(file)) + argv
    argv = whole_numbers(argv, settings_type)
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            settings = tyro.cli(settings_type, args=argv, prog=prog)
    except SystemExit as end:
        if end.code in (0, None):  # a completion script
            raise
        line = unknown_flag(argv, settings_type) or _one_line(complaint.getvalue())
        raise UserError(f"{line}; --help lists every flag") from None
    check(settings)
    return settings


def command(
    settings_type: type[T], prog: str
) -> Callable[[Callable[[T], int]], Callable[[list[str]], int]]:
    """Decorator of a command's `main(settings)`, which is then called with the words instead.

    `main.settings` is the dataclass, see `settings_of` in `commands.py`.
    """

    def of_words(main: Callable[[T], int]) -> Callable[[list[str]], int]:
        @wraps(main)
        def parsed(argv: list[str]) -> int:
            return main(parse(settings_type, argv, prog))

        parsed.settings = settings_type  # pyright: ignore[reportAttributeAccessIssue]
        return parsed

    return of_words


def run_command(main: Callable[[list[str]], int | None]) -> None:
    """Run `main(argv)` as a process: its status; one line and 2 for a UserError; 130 for Ctrl-C;
    141 where nobody reads what it prints any more (`| head`)."""
    try:
        with exits():
            status = main(sys.argv[1:])
            sys.stdout.flush()
    except BrokenPipeError:
        silence()  # for the flush at the end
        status = 128 + signal.SIGPIPE
    except UserError as error:
        # Before torch is imported all ranks of torchrun have read the same words: one says it.
        if "torch" in sys.modules or os.environ.get("RANK", "0") == "0":
            print(f"error: {error}", file=sys.stderr)
        status = USERS_MISTAKE
    except EnvironmentFailed as error:  # its checkpoints stay, and trying again may help
        tell(f"error: {error}")
        status = 1
    except OSError as error:
        if (line := full_disk(error)) is None:
            raise
        tell(f"error: {line}, then try again")
        status = 1
    except KeyboardInterrupt:  # where a command has no gentler answer, or was asked twice
        tell("interrupted")
        status = 128 + signal.SIGINT
    sys.exit(status or 0)


def as_flags(values: dict[str, Any]) -> list[str]:
    """Configuration keys and values as the words of a command line."""
    flags = []
    for key, value in flatten(values).items():
        *sections, name = key.replace("_", "-").split(".")
        if isinstance(value, bool):  # flags without a value: --x and --no-x
            flags.append("--" + ".".join([*sections, name if value else f"no-{name}"]))
        elif isinstance(value, list | tuple):
            flags += ["--" + ".".join([*sections, name]), *map(str, value)]
        else:  # one word: the value may begin with dashes
            flags.append(f"--{'.'.join([*sections, name])}={value}")
    return flags


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one: {"teacher": {"model": "doom"}} is {"teacher.model": "doom"}."""
    flat = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:  # an empty one is no value of a flag: it is refused
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def read_options(words: Iterable[str], flag: str) -> dict[str, str]:
    """The key=value words of a flag as a mapping; dashes in keys are underscores.

    >>> read_options(["test-shade=random"], "--data-options")
    {'test_shade': 'random'}
    """
    found: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not key:
            raise UserError(f"{flag} takes key=value, got {short(word)}")
        if key in found:
            raise UserError(f"{flag} names {key} twice: leave one of them out")
        found[key] = value
    return found


def words_of(argv: Sequence[str], flag: str) -> list[str]:
    """The words that follow a flag, up to the next flag; [] if it is not there.

    >>> words_of(["--import", "a.py", "b", "--seed", "1"], "--import")
    ['a.py', 'b']
    """
    found: list[str] = []
    for i, word in enumerate(argv):
        name, equals, value = word.partition("=")
        if name == flag and equals:
            found = [value]
        elif word == flag:
            rest = list(argv[i + 1 :])
            ends = [k for k, following in enumerate(rest) if following.startswith("--")]
            found = rest[: ends[0]] if ends else rest
    return found


def _checked_flags(values: dict[str, Any], settings_type: type, source: str) -> list[str]:
    """`as_flags`, once each value is seen to be of its field's kind."""
    fields = dict(fields_of(settings_type))
    flat = flatten(values)
    for key, value in flat.items():
        choose(f"key in {source}:", key, fields)
        kinds = alternatives(fields[key])
        is_switch = bool in kinds
        if is_switch != isinstance(value, bool):
            rule = "must be" if is_switch else "cannot be"
            raise UserError(f"{key} in {source} {rule} true or false, got {short(value)}")
        if isinstance(value, list | dict):
            if isinstance(value, dict) or not any(
                get_origin(kind) in (tuple, list) for kind in kinds
            ):
                raise UserError(f"{key} in {source} must be one value, got {short(value)}")
            refuse_odd_words(value, f"{key} in {source}")
    return as_flags(flat)


def refuse_odd_words(values: Sequence[Any], where: str) -> None:
    """Refuse what a list of a flag's values cannot hold: lists, nothing, words like flags."""
    for value in values:
        if isinstance(value, list | dict | None):
            raise UserError(f"{where} must list plain values, got {short(value)}")
        if isinstance(value, str) and value.startswith("-"):
            raise UserError(f"{where}: {short(value)} reads as a flag: a value begins otherwise")


def _one_line(panel: str) -> str:
    """tyro's framed message without its frame, its help text and its line breaks."""
    panel = re.sub(r"\x1b\[[0-9;]*m", "", panel)  # colours, on a terminal
    lines = [re.sub(r"[╭╮╰╯│─]+|-{5,}", " ", line).strip() for line in panel.splitlines()[1:]]
    lines = [line for line in lines if line]
    ends = ("Argument helptext", "For full helptext")
    cut = next((i for i, line in enumerate(lines) if line.startswith(ends)), len(lines))
    return " ".join(lines[:cut])
