"""A run is a folder, and everything that reads runs reads these files.

    config.yaml               every setting, re-runnable with --config
    versions.json             the package, torch, python, platform and commit it started with
    metrics.csv               one row an update
    evaluations.csv           one row an evaluation during training
    events.out.tfevents.*     the same for TensorBoard, with pictures
    checkpoints/step_N.pt     the last few; best.pt is the one with the highest return so far

Files are written beside their place and moved there, so a reader never sees half a file and a
crash never costs what was finished.
"""

import csv
import dataclasses
import fcntl
import json
import os
import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter

from rl_attn.errors import UserError
from rl_attn.run.cli import parse
from rl_attn.run.files import replacing, write_text
from rl_attn.run.versions import versions
from rl_attn.run.yaml import dump_yaml, load_yaml

Args = TypeVar("Args")

#: Changes when checkpoints of older code can no longer be continued.
FORMAT = 1


def create(path: Path, args: Any) -> Path:
    """Make the folder of a new run; write its configuration and what it is made with."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(
            f"run folder {path} exists already: choose another --run-dir, or continue that run "
            f"with --resume {path}"
        )
    try:
        (path / "checkpoints").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"run folder {path} cannot be made: {error.strerror}") from None
    write_text(path / "config.yaml", dump_yaml(dataclasses.asdict(args)))
    write_text(path / "versions.json", json.dumps(versions(), indent=1))
    return path


def load_args(path: Path, args_type: type[Args]) -> Args:
    """The configuration that the run was started with."""
    if not (path / "config.yaml").is_file():
        raise UserError(f"{path} is not a run: it has no config.yaml")
    file = path / "config.yaml"
    args = parse(args_type, ["--config", str(file)], str(path))
    return dataclasses.replace(args, config=load_yaml(file).get("config"))


# ---------------------------------------------------------------------- checkpoints


def checkpoints(path: Path) -> list[Path]:
    """Numbered checkpoints of a run, oldest first."""
    return sorted((path / "checkpoints").glob("step_*.pt"), key=lambda p: int(p.stem[5:]))


def save_checkpoint(path: Path, state: dict[str, Any], step: int, keep: int, best: bool) -> Path:
    """Write a checkpoint atomically, refresh best.pt if asked, and drop all but the last `keep`."""
    target = path / "checkpoints" / f"step_{step:09d}.pt"
    save_state(target, state)
    if best:
        with replacing(target.with_name("best.pt")) as scratch:
            shutil.copyfile(target, scratch)
    for old in checkpoints(path)[:-keep]:
        old.unlink()
    return target


def save_state(file: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values atomically, as `load_checkpoint` reads them."""
    with replacing(file) as scratch:
        torch.save({"format": FORMAT, **state}, scratch)


def load_checkpoint(file: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint; only tensors and plain values are unpickled, never code."""
    try:
        state = torch.load(file, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise UserError(f"checkpoint {file} does not exist") from None
    except (RuntimeError, OSError, EOFError, ValueError, LookupError, pickle.PickleError) as error:
        raise UserError(
            f"checkpoint {file} is damaged or truncated ({type(error).__name__}): delete it to "
            "fall back on the one before"
        ) from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise UserError(f"checkpoint {file} is not one of this version's (format {FORMAT})")
    return state


def latest_checkpoint(path: Path) -> Path | None:
    found = checkpoints(path)
    return found[-1] if found else None


# ---------------------------------------------------------------------- logging


class RunLog:
    """Scalars and pictures of one run, to TensorBoard and to CSV at once.

    Its process alone writes into the folder until it is closed; a second one is refused, with a
    UserError, before it touches what the first has written.

    Args:
        path: the run's folder.
        resume_step: rows and events after this step belong to work that was lost with an
            interruption; they are dropped, and written again by the resumed run.
    """

    def __init__(self, path: Path, resume_step: int | None = None):
        self.path, self.lock = path, _lock(path)
        if resume_step is not None:
            for table in path.glob("*.csv"):
                _drop_rows_after(table, resume_step)
        purge = None if resume_step is None else resume_step + 1
        self.board = SummaryWriter(str(path), purge_step=purge, flush_secs=10)

    def scalar(self, name: str, value: float, step: int) -> None:
        """One value for TensorBoard alone."""
        self.board.add_scalar(name, value, step)

    def row(self, values: Mapping[str, float], step: int, table: str = "metrics") -> None:
        """A row of `table`.csv, and a TensorBoard scalar for every value that is not NaN.

        The first row decides the columns; what it does not know stays in TensorBoard alone.
        """
        for name, value in values.items():
            if np.isfinite(value):
                self.board.add_scalar(name, value, step)
        file = self.path / f"{table}.csv"
        columns = _header(file) or ["global_step", *values]
        cells = {k: "" if np.isnan(v) else f"{v:.8g}" for k, v in values.items()}
        new = not file.exists()
        with file.open("a", newline="") as out:
            writer = csv.DictWriter(out, columns, restval="", extrasaction="ignore")
            if new:
                writer.writeheader()
            writer.writerow({"global_step": step, **cells})

    def picture(self, name: str, image: np.ndarray, step: int) -> None:
        """An RGB image, uint8 (H, W, 3)."""
        self.board.add_image(name, image, step, dataformats="HWC")

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, *_: object) -> None:
        self.board.close()
        os.close(self.lock)


def _lock(path: Path) -> int:
    """Lock the folder itself, so that no file is left behind; closing what comes back unlocks it,
    and so does the end of the process."""
    folder = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(folder)
        raise UserError(
            f"another process still trains in {path}: wait for its end, or stop it first"
        ) from None
    except OSError:
        pass  # a file system without locks
    return folder


def _header(table: Path) -> list[str] | None:
    if not table.exists():
        return None
    with table.open(newline="") as file:
        return next(csv.reader(file), None)


def _drop_rows_after(table: Path, step: int) -> None:
    with table.open(newline="") as file:
        header, *rows = list(csv.reader(file)) or [[]]
    kept = [row for row in rows if len(row) == len(header) and int(row[0]) <= step]
    lines = "".join(",".join(row) + "\n" for row in [header, *kept])
    write_text(table, lines if kept else None)
