"""How long the rest of a study takes, from the speed of the runs that its folder holds."""

import time
from collections.abc import Mapping, Sequence
from statistics import fmean

from rl_attn.studies.follow import follow
from rl_attn.studies.plan import Job
from rl_attn.studies.record import Record


def seconds_left(record: Record, steps: str, at_once: int) -> float | None:
    """Seconds until the last cell is done with `at_once` at a time; None if no speed is known.

    A cell's speed is that of cells which differ in the seed alone, or the mean of all cells where
    none of those has run. What follows a run (`then`) counts with the run; references are left out.
    """
    cells = [job for job in record.jobs.values() if job.is_cell]
    speeds = _speeds(cells, record, steps)
    if not speeds:
        return None
    overall = fmean(speed for group in speeds.values() for speed in group)
    left = 0.0
    for job in cells:
        if record.entries[job.name].state in ("pending", "running"):
            pace = fmean(speeds.get(_group(job), [overall]))
            left += pace * _amount_left(job, steps)
    return left / max(1, min(at_once, len(cells)))


def _speeds(cells: Sequence[Job], record: Record, steps: str) -> Mapping[str, list[float]]:
    """Seconds a step of every cell that has made some, by group."""
    speeds: dict[str, list[float]] = {}
    for job in cells:
        entry, progress = record.entries[job.name], follow(job, steps)
        done = progress.step if progress.total else float(entry.state == "finished")
        if done and entry.seconds:
            speeds.setdefault(_group(job), []).append(entry.seconds / done)
    return speeds


def _amount_left(job: Job, steps: str) -> float:
    """Steps, or the one run where steps are not known."""
    progress = follow(job, steps)
    return max(0, progress.total - progress.step) if progress.total else 1.0


def _group(job: Job) -> str:
    """Cells of one group differ in their seed or fold alone."""
    return "-".join(v for key, v in job.labels.items() if key not in ("seed", "fold"))


def clock(seconds: float) -> str:
    """1:02:03, and days before it where it takes days."""
    days, rest = divmod(round(seconds), 86_400)
    time_of_day = time.strftime("%H:%M:%S", time.gmtime(rest))
    return f"{days} d {time_of_day}" if days else time_of_day
