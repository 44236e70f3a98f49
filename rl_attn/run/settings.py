"""What a setting may be is declared on its field; one walk refuses the rest.

    @dataclass
    class TrainingSettings:
        learning_rate: Positive[float] = 1e-3
        gamma: Share = 0.99
        sizes: tuple[Annotated[int, Interval(ge=1, le=4096)], ...] = ()
        teacher: Teacher = field(default_factory=Teacher)     # a section: --teacher.model

The constraints are those of `annotated_types` (Gt, Ge, Lt, Le, Interval, MultipleOf, Len, ...).
Without any, a float is finite, an integer fits in 63 bits and a text has at most 4,096 characters.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import annotated_types as at
import tyro

from rl_attn.errors import UserError

T = TypeVar("T")

LARGEST_INT = 2**63 - 1
LONGEST_TEXT = 4096

Positive = Annotated[T, at.Gt(0)]
NotNegative = Annotated[T, at.Ge(0)]
Share = Annotated[float, at.Interval(ge=0, le=1)]
#: A share that is neither nothing nor all.
OpenShare = Annotated[float, at.Interval(gt=0, lt=1)]
Seed = Annotated[int, at.Interval(ge=0, le=LARGEST_INT)]
Threads = Annotated[int, at.Interval(ge=0, le=1024)]
#: Pixels of a side of a frame or an image.
Side = Annotated[int, at.Interval(ge=1, le=8192)]


@dataclasses.dataclass(frozen=True)
class FilePath:
    """Constraint on a text that names a file or a folder: what file systems take."""

    longest_name: int = 255  # bytes, of Linux, macOS and Windows alike

    def complaint(self, value: str) -> str | None:
        if not value:
            return "must not be empty"
        if value.startswith("--"):  # where a command takes any number of paths
            return "is a path, and no flag of this command begins so (--help lists them)"
        if "\0" in value or any(0xD800 <= ord(c) < 0xE000 for c in value):
            return "must be a path in plain characters"
        if any(len(part.encode()) > self.longest_name for part in value.split("/")):
            return f"must have names of at most {self.longest_name} bytes"
        return None


PathText = Annotated[str, FilePath()]


def check(settings: Any, prefix: str = "") -> None:
    """UserError for the first value, in the order of the fields, that its field does not take.

    >>> @dataclasses.dataclass
    ... class TrainingSettings:
    ...     gamma: Share = 0.99
    >>> check(TrainingSettings(gamma=2.0))
    Traceback (most recent call last):
    rl_attn.errors.UserError: --gamma must be from 0 to 1, got 2.0
    """
    hints = typing.get_type_hints(type(settings), include_extras=True)
    for field in dataclasses.fields(settings):
        value, name = getattr(settings, field.name), prefix + field.name
        if dataclasses.is_dataclass(value):
            check(value, f"{name}.")
            continue
        complaint = _complaint(value, hints[field.name])
        if complaint:
            raise UserError(f"{flag_of(name, hints[field.name])} {complaint}, got {short(value)}")


def flag_of(name: str, kind: Any = None) -> str:
    """How a field is called on the command line: --teacher.model, or STUDY for a positional."""
    if any(mark is tyro.conf.Positional for mark in getattr(kind, "__metadata__", ())):
        return name.upper()
    return "--" + name.replace("_", "-")


def fields_of(kind: type, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(name, type) of every field, those of sections as `section.name`."""
    for name, hint in typing.get_type_hints(kind, include_extras=True).items():
        if name not in {field.name for field in dataclasses.fields(kind)}:
            continue
        if dataclasses.is_dataclass(hint):
            yield from fields_of(typing.cast(type, hint), f"{prefix}{name}.")
        else:
            yield prefix + name, hint


def alternatives(kind: Any) -> list[Any]:
    """The types that a field's annotation allows, without None and without constraints."""
    if typing.get_origin(kind) is Annotated:
        return alternatives(typing.get_args(kind)[0])
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return [a for part in typing.get_args(kind) for a in alternatives(part)]
    return [] if kind is type(None) else [kind]


def is_path(kind: Any) -> bool:
    """Whether a field's annotation is that of a file or a folder: PathText, with or without None.

    >>> is_path(PathText | None), is_path(str)
    (True, False)
    """
    if typing.get_origin(kind) is Annotated:
        return any(isinstance(mark, FilePath) for mark in kind.__metadata__)
    unions = (typing.Union, types.UnionType)
    return typing.get_origin(kind) in unions and any(map(is_path, typing.get_args(kind)))


def short(value: Any) -> str:
    """A value for a message, long ones cut."""
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(value)) or "''"
    return text if len(text) <= 80 else f"{text[:60]}... ({len(text)} characters)"


def _complaint(value: Any, kind: Any, constraints: tuple[Any, ...] = ()) -> str | None:
    """What is wrong with a value of this type; None if nothing is."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        own = [
            end  # intervals and lengths as their ends
            for mark in kind.__metadata__
            for end in (mark if isinstance(mark, at.GroupedMetadata) else (mark,))
        ]
        return _complaint(value, parts[0], (*constraints, *own))
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in parts:
            return None
        found = [_complaint(value, p, constraints) for p in parts if p is not type(None)]
        return None if None in found or not found else found[0]
    if origin is Literal:
        return None if value in parts else f"must be one of {', '.join(map(str, parts))}"
    if origin is tuple and isinstance(value, tuple):
        inner = parts[0] if len(parts) == 2 and parts[1] is Ellipsis else None
        kinds = [inner] * len(value) if inner else parts
        found = (_complaint(v, k) for v, k in zip(value, kinds, strict=False))
        return next(filter(None, found), None) or _broken(value, constraints)
    return _of_type(value, constraints) or _broken(value, constraints)


def _of_type(value: Any, constraints: tuple[Any, ...]) -> str | None:
    """What holds of every number, path and text."""
    if isinstance(value, Path):
        return FilePath().complaint(str(value))
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number"
    if isinstance(value, int) and not -LARGEST_INT - 1 <= value <= LARGEST_INT:
        return _words(constraints) or f"must be at most {LARGEST_INT}"
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return f"must have at most {LONGEST_TEXT} characters"
    if isinstance(value, str) and "\0" in value:
        return "must not hold a zero byte"
    return None


def _broken(value: Any, constraints: tuple[Any, ...]) -> str | None:
    if not all(_holds(value, constraint) for constraint in constraints):
        return _words(constraints)
    found = (c.complaint(value) for c in constraints if hasattr(c, "complaint"))
    return next(filter(None, found), None)


def _holds(value: Any, constraint: Any) -> bool:
    match constraint:
        case at.Gt(gt=end):
            return value > end
        case at.Ge(ge=end):
            return value >= end
        case at.Lt(lt=end):
            return value < end
        case at.Le(le=end):
            return value <= end
        case at.MultipleOf(multiple_of=step):
            return value % step == 0
        case at.MinLen(min_length=least):
            return len(value) >= least
        case at.MaxLen(max_length=most):
            return len(value) <= most
    return True


def _words(constraints: tuple[Any, ...]) -> str:
    """Constraints as the rest of a sentence: "must be from 0 to 1"."""
    ends = {type(c): c for c in constraints}
    gt, ge, lt, le = (ends.get(kind) for kind in (at.Gt, at.Ge, at.Lt, at.Le))
    words = []
    if ge and le:
        words.append(f"be from {ge.ge} to {le.le}")
    elif gt and lt:
        words.append(f"be between {gt.gt} and {lt.lt}, without the ends")
    else:
        words += [f"be above {gt.gt}" if gt.gt else "be positive"] if gt else []
        words += [f"be {ge.ge} or more"] if ge else []
        words += [f"be below {lt.lt}"] if lt else []
        words += [f"be at most {le.le}"] if le else []
    step, least, most = (ends.get(kind) for kind in (at.MultipleOf, at.MinLen, at.MaxLen))
    words += [f"be a multiple of {step.multiple_of}"] if step else []
    words += [f"have {least.min_length} or more values"] if least else []
    words += [f"have at most {most.max_length} values"] if most else []
    return "must " + " and ".join(words) if words else ""
