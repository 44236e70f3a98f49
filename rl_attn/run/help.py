"""`--help` of a command: its flags in groups, one a dataclass, with choices and defaults.

    ── The algorithm, with CleanRL's names ──
      --learning-rate FLOAT    of Adam (default: 0.00025)

A group is the class that declares its flags, or a section; a flag's words are the string below its
field. Text is wrapped to the terminal, 80 columns where there is none.
"""

import ast
import dataclasses
import importlib
import inspect
import shutil
import textwrap
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, Literal, get_args, get_origin

import tyro

from rl_attn.run.settings import FilePath, alternatives

#: Columns before a flag's words, of the widest page, and of the longest list of choices.
_INDENT, _WIDEST, _LONGEST = 26, 100, 60


@dataclass(frozen=True)
class OneOf:
    """Annotation of a text that is a name of a registry: `--help` lists its names.

    names: "module:OBJECT" of something that yields the names; imported when help is asked for.
    """

    names: str

    def __str__(self) -> str:
        return f"one of {self.names}"

    def listed(self) -> list[str]:
        module, _, name = self.names.partition(":")
        return list(getattr(importlib.import_module(module), name))


@dataclass(frozen=True)
class Flag:
    """One flag as it is typed and explained."""

    group: str
    names: tuple[str, ...]  # --rgb, --no-rgb; or RUN for a positional
    takes: str  # FLOAT, {a,b}, [TEXT ...]; empty for switches
    words: str
    default: str  # empty where there is none

    @property
    def switch(self) -> str | None:
        """rgb of --rgb and --no-rgb; None for what is no switch, or lies in a section."""
        name = self.names[0].removeprefix("--")
        return name if self.names[1:] == (f"--no-{name}",) else None

    @property
    def positional(self) -> bool:
        return not self.names[0].startswith("-")


def flags_of(kind: type, prefix: str = "") -> Iterator[Flag]:
    """Every flag of a settings class, sections included, in the order of its fields."""
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        if dataclasses.is_dataclass(hint):
            yield from flags_of(typing.cast(type, hint), f"{prefix}{field.name}.")
            continue
        marks = tuple(_marks(hint))
        owner, value = _owner(kind, field.name), takes(hint, marks)
        words = _words(owner).get(field.name, "")
        if len(value) > _LONGEST and "{" in value:  # choices that are too many to stand in front
            words = f"{words}: {value.strip('[.] {}').replace(',', ', ')}"
            value = "NAME"
        names = _names(prefix + field.name, hint, marks)
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        yield Flag(_title(owner), names, value, words, text_of(default))


def help_text(kind: type, prog: str, columns: int | None = None) -> str:
    """The page that `prog --help` prints."""
    columns = columns or min(_WIDEST, shutil.get_terminal_size().columns)
    flags = list(flags_of(kind))
    positional = [flag for flag in flags if flag.positional]
    usage = " ".join([prog, *(_place(flag) for flag in positional), "[FLAGS]"])
    about = textwrap.fill((kind.__doc__ or "").strip().splitlines()[0], columns)
    groups = dict.fromkeys(flag.group for flag in flags)
    parts = [f"usage: {usage}", about]
    for group in groups:
        listed = [_entry(flag, columns) for flag in flags if flag.group == group]
        title = "Flags" if group == _title(kind) else group  # the page says that above already
        parts.append("\n".join([textwrap.fill(f"{title}:", columns), *listed]))
    return "\n\n".join(parts)


def _place(flag: Flag) -> str:
    return f"[{flag.names[0]} ...]" if flag.takes.startswith("[") else flag.names[0]


def _entry(flag: Flag, columns: int) -> str:
    """One flag: its words beside it where they fit, else below."""
    name = flag.names[0] if flag.switch is None else f"--[no-]{flag.switch}"
    head = f"  {name} {'' if flag.positional else flag.takes}"
    blank = " " * _INDENT
    words = f"{flag.words} (default: {flag.default})".strip() if flag.default else flag.words
    wrapped = textwrap.wrap(
        words, columns, initial_indent=blank, subsequent_indent=blank, break_on_hyphens=False
    )
    head = head.rstrip()
    if len(head) < _INDENT - 1 and wrapped:
        return "\n".join([head.ljust(_INDENT) + wrapped[0].lstrip(), *wrapped[1:]])
    heads = textwrap.wrap(head, columns, subsequent_indent="      ", break_on_hyphens=False)
    heads[0] = "  " + heads[0].lstrip()
    return "\n".join([*heads, *wrapped])


def _owner(kind: type, name: str) -> type:
    """The class whose source declares a field; not one that was made for a method's name."""
    declaring = [c for c in kind.__mro__ if name in inspect.get_annotations(c)]
    return next((c for c in declaring if name in _words(c)), declaring[0])


def _title(owner: type) -> str:
    """The first sentence of a class's docstring, without what follows a semicolon."""
    sentence = " ".join((owner.__doc__ or owner.__name__).split()).partition(". ")[0]
    return sentence.partition(";")[0].rstrip(".")


@cache
def _words(owner: type) -> dict[str, str]:
    """Field -> the string that stands below it in the source; {} where there is no source."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
    except (OSError, TypeError, IndentationError):
        return {}
    found, body = {}, getattr(tree, "body", [])
    for field, below in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            text = below.value.value if _is_text(below) else ""
            found[field.target.id] = " ".join(text.split())
    return found


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _names(name: str, hint: Any, marks: tuple[Any, ...]) -> tuple[str, ...]:
    if tyro.conf.Positional in marks:
        return (name.upper(),)
    *sections, last = name.replace("_", "-").split(".")
    renamed = [mark.name for mark in marks if getattr(mark, "name", None)]
    before, last = "".join(f"{section}." for section in sections), (renamed or [last])[0]
    negative = (f"--{before}no-{last}",) if bool in alternatives(hint) else ()
    return (f"--{before}{last}", *negative)


def takes(hint: Any, marks: tuple[Any, ...] = ()) -> str:
    """What follows a flag of this type: FLOAT, {a,b}, [TEXT ...]; nothing for switches."""
    asked = [mark.metavar for mark in marks if getattr(mark, "metavar", None)]
    kinds = alternatives(hint)
    if asked:
        return asked[0]
    if bool in kinds:
        return ""
    kind = kinds[0]
    listed = get_origin(kind) in (tuple, list)
    inner = get_args(kind)[0] if listed else kind
    names = [mark.listed() for mark in marks if isinstance(mark, OneOf)]
    if names:
        word = "{" + ",".join(names[0]) + "}"
    elif any(isinstance(mark, FilePath) for mark in marks):
        word = "PATH"
    else:
        word = _word(alternatives(inner)[0])
    return f"[{word} ...]" if listed else word


def _marks(hint: Any) -> Iterator[Any]:
    """What a type and its parts are annotated with."""
    yield from getattr(hint, "__metadata__", ())
    for part in get_args(hint):
        if get_origin(hint) is not Literal:
            yield from _marks(part)


def _word(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "{" + ",".join(map(str, get_args(kind))) + "}"
    return {int: "INT", float: "FLOAT"}.get(kind, "TEXT")


def text_of(value: Any) -> str:
    """A default as it is shown; empty where there is none."""
    if value is dataclasses.MISSING or value is None or value in ("", ()):
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    return " ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
