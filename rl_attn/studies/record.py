"""A study's persistent state: the state of each cell (state.json) and its numbers (results.csv)."""

import csv
import fcntl
import io
import json
import math
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from rl_attn.errors import UserError
from rl_attn.run.files import write_text
from rl_attn.studies.plan import Job

State = Literal["pending", "later", "running", "finished", "failed", "pruned"]


@dataclass
class Entry:
    """How far a job is."""

    state: State = "pending"
    attempts: int = 0  # times that it was started, over all starts of the study
    seconds: float = 0.0  # spent in these attempts
    message: str = ""


class Record:
    """Entries of all jobs by name; those of cells are kept in state.json.

    A reference's entry is not kept: its evaluation.json tells whether it is there.
    """

    def __init__(self, out: Path):
        self.file = out / "state.json"
        self.entries: dict[str, Entry] = {}
        self.jobs: dict[str, Job] = {}
        self._before = _read(self.file)

    def add(self, jobs: Iterable[Job], later: Collection[str] = ()) -> None:
        """Take up jobs, each where the last start of the study left it.

        Args:
            later: names of those that are not to be started this time.
        """
        for job in jobs:
            entry = self._before.get(job.name, Entry())
            there = job.evaluation if not job.is_cell else job.folder / "config.yaml"
            if not job.is_cell or entry.state != "pruned":
                done = there.is_file() and (not job.is_cell or entry.state == "finished")
                entry.state = "finished" if done else "later" if job.name in later else "pending"
            self.jobs[job.name], self.entries[job.name] = job, entry

    def in_state(self, *states: State) -> list[Job]:
        return [self.jobs[name] for name, e in self.entries.items() if e.state in states]

    def write(self) -> None:
        cells = {n: asdict(e) for n, e in self.entries.items() if self.jobs[n].is_cell}
        for entry in cells.values():
            entry["seconds"] = round(entry["seconds"], 1)
        write_text(self.file, json.dumps(cells, indent=1) + "\n")


def _read(file: Path) -> dict[str, Entry]:
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        return {name: Entry(**values) for name, values in stored.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError):
        raise UserError(
            f"{file} is damaged: delete it, and every run is looked at and finished again"
        ) from None


# ---------------------------------------------------------------------- results


def summary(job: Job) -> dict[str, float]:
    """The means of the metrics in a job's evaluation.json; {} where it left none."""
    try:
        content = json.loads(job.evaluation.read_text(encoding="utf-8"))
        return {str(k): _number(v["mean"]) for k, v in content["summary"].items()}
    except OSError:
        return {}
    except (ValueError, TypeError, KeyError, AttributeError):
        raise UserError(
            f"{job.evaluation} holds no summary of the form {{metric: {{mean, low, high}}}}: "
            "delete its run folder, and it is made again"
        ) from None


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def write_results(
    file: Path, jobs: Sequence[Job], columns: Sequence[str], metrics: Sequence[str] = ()
) -> None:
    """One row a finished cell, in the order of `jobs`; nothing in it depends on when it ran.

    Args:
        columns: the keys of the jobs' labels.
        metrics: which; none: all that the summaries hold.
    """
    summaries = {job.name: summary(job) for job in jobs}
    found = dict.fromkeys(name for values in summaries.values() for name in values)
    metrics = metrics or list(found)
    file.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["cell", *columns, *metrics])
    for job in jobs:
        values = summaries[job.name]
        numbers = [values.get(name, math.nan) for name in metrics]
        words = ["" if math.isnan(number) else repr(number) for number in numbers]
        writer.writerow([job.name, *(job.labels[key] for key in columns), *words])
    write_text(file, text.getvalue())


# ---------------------------------------------------------------------- one study at a time


@contextmanager
def sole_owner(out: Path) -> Iterator[None]:
    """Refuse a second study in the same folder; the lock of a dead one is void by itself."""
    with (out / "study.lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise UserError(
                f"another study works in {out} ({file.read().strip()}): wait for it, stop it, or "
                "choose another --out"
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {os.uname().nodename}\n")
        file.flush()
        yield
