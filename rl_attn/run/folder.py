"""A run is a folder, and everything that reads runs reads these files.

    config.yaml               every setting, re-runnable with --config
    versions.json             the package, torch, python, platform and commit it started with
    metrics.csv               one row an update
    evaluations.csv           one row an evaluation during training
    events.out.tfevents.*     the same for TensorBoard, with pictures
    checkpoints/step_N.pt     the last few; of a finished run the agent alone
    checkpoints/best.pt       the agent with the highest return so far, if it is not the last one

Files are written beside their place and moved there, so a reader never sees half a file and a
crash never costs what was finished.
"""

import dataclasses
import errno
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rl_attn.errors import UserError
from rl_attn.run.cli import parse
from rl_attn.run.files import sweep, write_text
from rl_attn.run.versions import versions
from rl_attn.run.yaml import dump_yaml, load_yaml

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

_WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


def make(path: Path) -> Path:
    """Make a folder with its parents; UserError if that cannot be, or nothing be written there."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"folder {path} cannot be made: {error.strerror}") from None
    check_writable(path)
    return path


def check_writable(path: Path) -> None:
    """UserError for a folder that this user may not write into."""
    if not os.access(path, os.W_OK | os.X_OK):
        raise UserError(f"folder {path} cannot be written to: choose another, or copy it first")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """This process alone writes into the folder within the block.

    What killed processes left half-written there is removed first. A second process is refused
    with a UserError. The folder itself is locked, so that no file is left behind; the end of the
    process unlocks it, however it ends.
    """
    check_writable(path)
    folder = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"another process still works in {path}: wait for its end, or stop it first"
            ) from None
        except OSError as error:
            if error.errno not in _WITHOUT_LOCKS:
                raise
        sweep(path)
        yield
    finally:
        os.close(folder)


def create(path: Path, args: Any) -> Path:
    """Make the folder of a new run; write its configuration and what it is made with."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(
            f"run folder {path} exists already: choose another --run-dir, or continue that run "
            f"with --resume {path}"
        )
    (make(path) / "checkpoints").mkdir(exist_ok=True)
    write_text(path / "versions.json", json.dumps(versions(), indent=1))
    write_text(path / "config.yaml", dump_yaml(dataclasses.asdict(args)))
    return path


def newest_run(path: Path) -> Path | None:
    """The run below a folder, at most two levels down, that was begun last; None without one."""
    found = [file for depth in ("*", "*/*") for file in path.glob(f"{depth}/config.yaml")]
    return max(found, key=lambda file: file.stat().st_mtime).parent if found else None


def load_args(path: Path, type_of: Callable[[list[str]], type[T]]) -> T:
    """The configuration that the run was started with, of the type that `type_of` finds for such
    words of a command line."""
    file = path / "config.yaml"
    if not file.is_file():
        newest = newest_run(path)
        hint = f"; the newest run below it is {newest}" if newest else ""
        raise UserError(f"{path} is not a run: it has no config.yaml{hint}")
    words = ["--config", str(file)]
    args = parse(type_of(words), words, str(path))
    return dataclasses.replace(args, config=load_yaml(file).get("config"))
