"""Checkpoints: tensors and plain values in one file, written in one move and checked when read.

A file holds torch's zip archive, in which every tensor has a CRC-32 (torch writes them and does not
look at them). What may lie in it is declared as a `TypedDict`:

    class State(TypedDict):
        agent: dict[str, Tensor]
        global_step: int

    save_checkpoint(run, state, step=128, keep=3)
    load_checkpoint(latest_checkpoint(run), State)
"""

import pickle
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast, get_type_hints

import torch
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint
from typeguard import CollectionCheckStrategy, TypeCheckError, check_type

from rl_attn.errors import EnvironmentFailed, TrainingError, UserError, one_line
from rl_attn.run.files import replacing

T = TypeVar("T")

#: Changes when checkpoints of older code can no longer be continued.
FORMAT = 2

_UNREADABLE = (
    *(RuntimeError, OSError, EOFError, ValueError, LookupError, AttributeError, TypeError),
    *(pickle.PickleError, zipfile.BadZipFile, zlib.error, NotImplementedError, MemoryError),
)


def checkpoints(path: Path) -> list[Path]:
    """Numbered checkpoints of a run, oldest first."""
    files = ((step_of(file), file) for file in (path / "checkpoints").glob("step_*.pt"))
    return [file for _, file in sorted((n, file) for n, file in files if n is not None)]


def latest_checkpoint(path: Path) -> Path | None:
    found = checkpoints(path)
    return found[-1] if found else None


def best_checkpoint(path: Path) -> Path:
    """Where a run keeps its best agent, if that is not the last one."""
    return path / "checkpoints" / "best.pt"


def step_of(file: Path) -> int | None:
    """The number in a checkpoint's name; None for another file, such as best.pt."""
    match = re.fullmatch(r"step_(\d+)\.pt", file.name)
    return int(match[1]) if match else None


# ---------------------------------------------------------------------- write


def save_checkpoint(path: Path, state: Mapping[str, Any], step: int, keep: int) -> Path:
    """Write a checkpoint atomically, and drop all but the last `keep`; 0 drops none.

    Raises TrainingError, and leaves all as it was, if a tensor is not finite.
    """
    target = path / "checkpoints" / f"step_{step:09d}.pt"
    save_state(target, state)
    for old in checkpoints(path)[:-keep] if keep else []:
        old.unlink()
    return target


def save_state(file: Path, state: Mapping[str, Any]) -> None:
    """Write tensors and plain values atomically, as `load_state` reads them.

    Raises TrainingError, and leaves all as it was, if a tensor is not finite, or for a value that
    `load_state` would refuse, such as NumPy's numbers.
    """
    broken = _not_finite(state)
    if broken:
        raise TrainingError(
            f"{broken} is not finite any more, and is not saved: the last checkpoint is from "
            "before; try a lower --learning-rate, or --precision fp32"
        )
    with replacing(file) as scratch, scratch.open("w+b") as out:
        try:
            torch.save({"format": FORMAT, **state}, out)
        except RuntimeError as error:  # of torch's archive, which hides that the disk is full
            cause: BaseException | None = error
            while cause is not None and not isinstance(cause, OSError):
                cause = cause.__context__
            raise (cause or error) from None
        out.seek(0)
        refused = get_unsafe_globals_in_checkpoint(out)
        if refused:
            raise TrainingError(
                f"the state holds {', '.join(sorted(refused))}, which cannot be read back from a "
                "checkpoint: keep only tensors, numbers, strings, lists and dicts in it (NumPy's "
                "numbers as .item())"
            )


def _not_finite(state: Any) -> str | None:
    """Where in nested dicts and lists the first tensor lies that holds NaN or infinity."""
    waiting = [("", state)]
    while waiting:
        name, part = waiting.pop()
        if isinstance(part, Tensor) and part.is_floating_point() and not part.isfinite().all():
            return name
        if isinstance(part, Mapping | list | tuple):
            inner = part.items() if isinstance(part, Mapping) else enumerate(part)
            waiting += reversed([(f"{name}/{key}".lstrip("/"), value) for key, value in inner])
    return None


# ---------------------------------------------------------------------- read


def load_checkpoint(
    file: Path, schema: type[T], device: torch.device | str = "cpu", more: bool = False
) -> T:
    """A checkpoint that `save_checkpoint` wrote; see `load_state`.

    Args:
        schema: a TypedDict with at least `global_step`.
    """
    state: Any = load_state(file, schema, device, more)
    number = step_of(file)
    if state["global_step"] < 0 or number not in (None, state["global_step"]):
        raise _refusal(file, f"is damaged: it says step {state['global_step']}")
    return state


def load_state(
    file: Path, schema: type[T], device: torch.device | str = "cpu", more: bool = False
) -> T:
    """Read what `save_state` wrote; only tensors and plain values are unpickled, never code.

    UserError if the file is damaged, if what lies in it is not what `schema` (a TypedDict)
    declares, or if a tensor is not finite.

    Args:
        more: the file may hold more than `schema` declares; the rest is left out.
    """
    if not file.is_file():
        raise UserError(f"checkpoint {file} does not exist")
    try:
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
        state = None if damaged else torch.load(file, map_location=device, weights_only=True)
    except _UNREADABLE as error:
        raise _refusal(file, f"is damaged or truncated ({type(error).__name__})") from None
    if damaged:
        raise _refusal(file, f"is damaged: the checksum of {damaged} is wrong")
    if not isinstance(state, dict) or state.pop("format", None) != FORMAT:
        raise _refusal(file, f"is not one of this version's (format {FORMAT})")
    if more:
        state = {name: state[name] for name in get_type_hints(schema) if name in state}
    try:
        check_type(state, schema, collection_check_strategy=CollectionCheckStrategy.ALL_ITEMS)
    except TypeCheckError as error:
        raise _refusal(file, f"does not hold what it should: {one_line(error)}") from None
    broken = _not_finite(state)
    if broken:
        raise _refusal(file, f"is broken: {broken} is not finite")
    return cast("T", state)


@contextmanager
def fitting(file: Path) -> Iterator[None]:
    """Within the block the state of a checkpoint is taken up; a UserError if it does not fit."""
    try:
        yield
    except EnvironmentFailed:  # for which the file is not to blame
        raise
    except UserError as error:
        raise _refusal(file, f"does not fit: {error}") from None
    except (RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise _refusal(file, f"does not fit this run: {one_line(error)}") from None


def check_moments(optimizer: torch.optim.Optimizer) -> None:
    """ValueError if what an optimiser remembers has not the shapes of its parameters."""
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.numel() != 1 and value.shape != parameter.shape:
                raise ValueError(
                    f"the optimiser's {name} has shape {tuple(value.shape)}, its parameter "
                    f"{tuple(parameter.shape)}"
                )


def _refusal(file: Path, why: str) -> UserError:
    """That a checkpoint cannot be used, and what to do: go on from the one before."""
    number, run = step_of(file), file.parent.parent
    numbers = ((step_of(other), other) for other in checkpoints(run))
    older = [] if number is None else [o for n, o in numbers if n is not None and n < number]
    rest = f" to go on from {older[-1].name}" if older else "; there is none before it"
    return UserError(f"checkpoint {file} {why}: delete it{rest if number is not None else ''}")
