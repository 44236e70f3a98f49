"""Inputs that no command may take, made from what the commands themselves declare.

A flag is spoilt according to its field's type, a YAML file and a study by what is done to a good
one. Everything here is wrong by construction; the seed decides which of it is drawn.
"""

import random
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import tyro
from annotated_types import Ge, GroupedMetadata, Gt, Le, Lt

from rl_attn.run.commands import COMMANDS, settings_of
from rl_attn.run.settings import FilePath, alternatives, fields_of
from rl_attn.run.yaml import dump_yaml
from rl_attn.studies.check import check
from rl_attn.studies.plan import Command
from rl_attn.studies.schema import read_study
from rl_attn.study import all_jobs

_HUGE = str(2**63)
_NUMBERS = ("", "many", "1,5", "--", "nan", "inf", "-inf", "0x10", "1e999")
_WHOLE = ("", "many", "1.5", "nan", _HUGE, "-" + _HUGE + "9", "9" * 5000)


class Flags(NamedTuple):
    """A command line."""

    module: str
    words: tuple[str, ...]


class File(NamedTuple):
    """A file of the words of a command line, or a study."""

    kind: Literal["config", "study"]
    what: str
    content: bytes


# ---------------------------------------------------------------------- the good ones

#: The words that a command cannot do without.
REQUIRED = {
    "evaluate": ("runs/a",),
    "random-policy": ("--out", "a"),
    "compare": ("camal_monsters_cpu",),
    "study": ("camal_drl_cpu",),
    "report": ("runs/a",),
    "prompt": ("runs/a",),
    "data": ("digits",),
    "prepare": ("lidc", "--from", "a", "--to", "b"),
}
CONFIG = {
    "env": "Basic",
    "total_timesteps": 2048,
    "camal": 0.5,
    "rgb": True,
    "targets": ["Cacodemon"],
}
STUDY = {
    "command": "rl_attn.ppo",
    "arguments": {"total_timesteps": 2048},
    "grid": {"env": ["Basic"], "method": {"Vanilla": {"camal": 0}, "CAMAL": {"camal": 1}}},
    "seeds": [1],
    "then": [{"command": "rl_attn.evaluate", "positional": ["{run}"]}],
    "references": [
        {"name": "random", "command": "rl_attn.random_policy", "arguments": {"out": "{out}"}}
    ],
    "report": {"compare": "method"},
    "watch": ["attention/iou"],
    "steps": "total_timesteps",
}


def read_command(command: Flags) -> None:
    check(Command(command.module, command.words))


def read_file(file: File, folder: Path) -> None:
    path = write(file, folder)
    if file.kind == "config":
        check(Command("rl_attn.ppo", ("--config", str(path))))
    else:
        for job in all_jobs(read_study(path), folder / "out"):
            check(job.start)
            for command in job.then:
                check(command)


def flags_of(name: str) -> Iterator[Flags]:
    """Spoilt flags of a command by its short name."""
    module = COMMANDS[name].load()
    kind = settings_of(module, [])
    return flags(COMMANDS[name].module, kind, REQUIRED.get(name, ()))


# ---------------------------------------------------------------------- flags


def flags(module: str, settings_type: type, required: tuple[str, ...]) -> Iterator[Flags]:
    """Command lines with one thing wrong, for every field of a command."""
    fields = dict(fields_of(settings_type))
    # Where any number of words may stand, a word too many is one of them, as is a switch's value.
    words = any(
        _positional(k) and typing.get_origin(alternatives(k)[0]) is tuple for k in fields.values()
    )
    for name, kind in fields.items():
        flag = "--" + name.replace("_", "-")
        if flag[2:].replace("-", "_") in ("run", "study", "data") and required:
            continue  # positional
        for value in _bad_values(kind) if not words or bool not in alternatives(kind) else ():
            yield Flags(module, (*required, f"{flag}={value}"))
        yield Flags(module, (*required, flag[:-1] + "xx", "1"))
    if not words:
        yield Flags(module, (*required, "stray", "words"))


def _positional(kind: Any) -> bool:
    return tyro.conf.Positional in getattr(kind, "__metadata__", ())


def _bad_values(kind: Any) -> list[str]:
    kinds, ends = alternatives(kind), list(_constraints(kind))
    if kinds == [int]:
        return [*_WHOLE, *(_beyond(end) for end in ends if _beyond(end))]
    if kinds == [float]:
        return [*_NUMBERS, *(_beyond(end) for end in ends if _beyond(end))]
    if kinds == [bool]:
        return ["maybe", "2"]
    if kinds and typing.get_origin(kinds[0]) is Literal:
        return ["no-such-choice", ""]
    if any(isinstance(end, FilePath) for end in ends):
        return ["x" * 300, "a/" + "é" * 200, "a\0b"]
    return ["x" * 5000, "a\0b"] if kinds == [str] else []


def _constraints(kind: Any) -> Iterator[Any]:
    for mark in getattr(kind, "__metadata__", ()):
        yield from mark if isinstance(mark, GroupedMetadata) else (mark,)
    for part in typing.get_args(kind):
        if hasattr(part, "__metadata__"):
            yield from _constraints(part)


def _beyond(end: Any) -> str:
    match end:
        case Ge(ge=low):
            return str(low - 1)
        case Gt(gt=low):
            return str(low)
        case Le(le=high):
            return str(high + 1)
        case Lt(lt=high):
            return str(high)
    return ""


# ---------------------------------------------------------------------- YAML


def configs(values: dict[str, Any], draw: random.Random) -> Iterator[File]:
    """A good configuration, spoilt: as text, and key by key."""
    text = dump_yaml(values)
    for what, content in _bad_texts(text, draw):
        yield File("config", what, content)
    for key, value in values.items():
        for wrong in (
            [value, value],
            {"a": value},
            [[value]],
            {},
            "x: y" if value != "x: y" else 1,
        ):
            if isinstance(value, str | list) and isinstance(wrong, str | list):
                continue  # a list of words may be right
            yield File("config", f"{key} is {wrong!r}", dump_yaml({**values, key: wrong}).encode())
        misspelt = {k if k != key else k + "s_": v for k, v in values.items()}
        yield File("config", f"{key} misspelt", dump_yaml(misspelt).encode())


def _bad_texts(text: str, draw: random.Random) -> Iterator[tuple[str, bytes]]:
    lines = text.splitlines()
    first = lines[0]
    good = text.encode()
    yield "twice", (text + first + "\n").encode()
    yield "alias", (text + "zz: &a [1]\nyy: *a\n").encode()
    yield "deep", (text + "zz: " + "[" * 300 + "]" * 300).encode()
    yield "open", (text + "zz: [1, 2").encode()
    yield "tab", (text + "\tzz: 1\n").encode()
    yield "two documents", (text + "---\na: 1\n").encode()
    yield "large", good + b"#" * 300_000
    yield "a list", b"- a\n- b\n"
    yield "a word", b"word\n"
    yield "empty", b""
    for tag in ("!!int x", "!!float 1", "!!python/name:os.system", "!own 1", "!!binary aGk="):
        yield f"tag {tag}", (text + f"zz: {tag}\n").encode()
    for number in (".nan", ".inf", "-.inf", "1e999", "9" * 200):
        yield f"number {number}", (text + f"zz: {number}\n").encode()
    for _ in range(20):  # a byte that is no UTF-8, somewhere
        place = draw.randrange(len(good))
        yield f"byte {place}", good[:place] + b"\xff" + good[place:]


# ---------------------------------------------------------------------- studies


def studies(values: dict[str, Any], draw: random.Random) -> Iterator[File]:
    """A good study, spoilt."""
    for what, content in _bad_texts(dump_yaml(values), draw):
        yield File("study", what, content)
    for key in values:
        for wrong in ("word", 3, -1, True, [[]], {"a": {"b": 1}}, [{"x": 1}], [None]):
            if (key, wrong) not in _GOOD:
                yield _study(f"{key} is {wrong!r}", {**values, key: wrong})
    for name in ("", ".", "..", "...", "/", "../..", "é", "~", " ", ".a", "x" * 250):
        yield _study(f"label {name!r}", {**values, "grid": {"m": {name: {}}}})
        reference = {"name": name, "command": "rl_attn.random_policy"}
        yield _study(f"reference {name!r}", {**values, "references": [reference]})
    for flag in ("run_dir", "run-dir", "--run-dir", "resume", "seed", "help", "-h", "fold"):
        yield _study(f"flag {flag}", {**values, "arguments": {flag: 1}})
    for text in ("{", "}", "{}", "{rnu}", "{run!x}", "{run:>9}", "{run.a}", "{run[0]}", "{0}"):
        then = [{"command": "rl_attn.evaluate", "positional": [text]}]
        yield _study(f"placeholder {text}", {**values, "then": then})
    for section in ({"compare": "x"}, {"compare": 3}, {"metrics": "iou"}, {"metrics": [{}]},
                    {"metrics": [{"name": "a", "labl": "b"}]}, {"paired": 1}, {"heat_maps": 3},
                    {"baselines": ["a"]}, {"baselines": {"a": "b"}}, {"colour": 1}):  # fmt: skip
        yield _study(f"report {section}", {**values, "report": section})
    for space in ({}, {"low": 1}, {"low": 2, "high": 1}, {"low": "a", "high": "b"}, {"choices": []},
                  {"low": 0, "high": 1, "log": True}, {"low": 0, "high": 1, "step": 0}, 3,
                  {"choices": [1], "low": 1}, {"hihg": 3}):  # fmt: skip
        search = {"metric": "iou", "space": {"learning_rate": space}}
        yield _study(f"space {space}", {**values, "search": search})
    for wrong in ("no-such-study", 3, [], "", "/nowhere/x.yaml"):
        yield _study(f"extends {wrong!r}", {**values, "extends": wrong})


#: Single values that are fine for a key of a study.
_GOOD = [("command", "word"), ("steps", "word")]


def _study(what: str, values: dict[str, Any]) -> File:
    return File("study", what, dump_yaml(values).encode())


def write(file: File, folder: Path) -> Path:
    path = folder / f"{file.kind}.yaml"
    path.write_bytes(file.content)
    return path
