"""Scalars and pictures of one run, to TensorBoard and to CSV at once."""

import csv
import io
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from rl_attn.errors import UserError, one_line
from rl_attn.run.files import write_text
from rl_attn.run.folder import locked

_STEP = "global_step"
#: The tables of a run; another CSV in its folder is somebody else's.
_TABLES = ("metrics", "evaluations")


class RunLog:
    """The log of a run, whose process alone writes into the folder until it is closed.

    A second process is refused, with a UserError, before it touches what the first has written.

    Args:
        path: the run's folder.
        resume_step: rows and events after this step belong to work that was lost with an
            interruption; they are dropped, and written again by the resumed run.
    """

    def __init__(self, path: Path, resume_step: int | None = None):
        self.path = path
        with ExitStack() as stack:
            stack.enter_context(locked(path))
            if resume_step is not None:
                for table in _TABLES:
                    _drop_rows_after(path / f"{table}.csv", resume_step)
            purge = None if resume_step is None else resume_step + 1
            self.board = SummaryWriter(str(path), purge_step=purge, flush_secs=10)
            stack.callback(self.board.close)
            self._stack = stack.pop_all()

    def layout(self, charts: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        """What TensorBoard's first page, "Custom scalars", shows: section -> chart -> tags."""
        self.board.add_custom_scalars(
            {
                section: {title: ["Multiline", list(tags)] for title, tags in listed.items()}
                for section, listed in charts.items()
            }
        )

    def scalar(self, name: str, value: float, step: int) -> None:
        """One value for TensorBoard alone."""
        self.board.add_scalar(name, value, step)

    def row(self, values: Mapping[str, float], step: int, table: str = "metrics") -> None:
        """A row of metrics.csv or evaluations.csv, and a TensorBoard scalar for every value that
        is not NaN.

        The first row decides the columns; what it does not know stays in TensorBoard alone.
        """
        if table not in _TABLES:
            raise ValueError(f"table is {table!r}: a run has {' and '.join(_TABLES)}")
        for name, value in values.items():
            if np.isfinite(value):
                self.board.add_scalar(name, value, step)
        file = self.path / f"{table}.csv"
        header = _header(file)
        cells = {k: "" if np.isnan(v) else f"{v:.8g}" for k, v in values.items()}
        with file.open("a", newline="") as out:
            columns = header or [_STEP, *values]
            writer = csv.DictWriter(out, columns, restval="", extrasaction="ignore")
            if header is None:
                writer.writeheader()
            writer.writerow({_STEP: step, **cells})

    def last_step(self, table: str) -> int:
        """The step of a table's last row; -1 without one."""
        _, rows = _read(self.path / f"{table}.csv")
        return int(rows[-1][0]) if rows else -1

    def picture(self, name: str, image: np.ndarray, step: int) -> None:
        """An RGB image, uint8 (H, W, 3)."""
        self.board.add_image(name, image, step, dataformats="HWC")

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def check_tables(path: Path) -> None:
    """UserError if one of the run's tables is none that it has written."""
    for table in _TABLES:
        _read(path / f"{table}.csv")


def _header(table: Path) -> list[str] | None:
    if not table.exists():
        return None
    with table.open(newline="") as file:
        return next(csv.reader(file), None)


def _read(table: Path) -> tuple[list[str], list[list[str]]]:
    """Header and whole rows of a table, without what was half-written."""
    if not table.exists():
        return [], []
    try:
        text = table.read_bytes().decode()
        if "\0" in text:
            raise ValueError("it holds zero bytes")
        header, *rows = list(csv.reader(io.StringIO(text, newline=""))) or [[_STEP]]
        if header[:1] != [_STEP]:
            raise ValueError(f"it does not begin with {_STEP}")
        return header, [
            [str(int(row[0])), *row[1:]]
            for row in rows
            if len(row) == len(header) and row[0].isdecimal()
        ]
    except (OSError, ValueError, csv.Error) as error:
        reason = one_line(error)
        raise UserError(f"{table} is not a table of a run ({reason}): move it elsewhere") from None


def _drop_rows_after(table: Path, step: int) -> None:
    header, rows = _read(table)
    kept = [row for row in rows if int(row[0]) <= step]
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows([header, *kept])
    write_text(table, lines.getvalue() if kept else None)
