"""How long the rest of a study takes, from the speed of the runs that its folder holds."""

import time
from collections.abc import Mapping, Sequence
from statistics import fmean

from rl_attn.studies.follow import follow
from rl_attn.studies.plan import Job
from rl_attn.studies.record import Record


def seconds_left(
    record: Record, steps: str, at_once: int, pace: tuple[str, Mapping[str, float]] = ("", {})
) -> float | None:
    """Seconds until the last cell is done with `at_once` at a time; None if no speed is known.

    A cell's speed is that of cells which differ in the seed alone; where none of those has run,
    what the study's `pace` says of it, or the mean of all cells. What follows a run (`then`) counts
    with the run, but is no part of the `pace`; references are left out.
    """
    cells = [job for job in record.jobs.values() if job.is_cell]
    speeds = _speeds(cells, record, steps)
    every = [speed for group in speeds.values() for speed in group]
    overall = fmean(every) if every else None
    left = 0.0
    for job in cells:
        if record.entries[job.name].state in ("pending", "running"):
            own = speeds.get(_group(job))
            each = fmean(own) if own else _expected(job, *pace) or overall
            if each is None:
                return None
            left += each * _amount_left(job, steps)
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


def _expected(job: Job, key: str, pace: Mapping[str, float]) -> float | None:
    """Seconds a step, as the study file says; None where it does not say it of this cell."""
    steps_a_second = pace.get(job.labels.get(key, ""))
    return None if steps_a_second is None else 1 / steps_a_second


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
