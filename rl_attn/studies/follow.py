"""How far a run is, read from the tables that it writes."""

import csv
from dataclasses import dataclass, field
from pathlib import Path

from rl_attn.errors import UserError
from rl_attn.run.yaml import load_yaml
from rl_attn.studies.plan import Job


@dataclass(frozen=True)
class Progress:
    """The newest row of a run's metrics.csv."""

    step: int = 0
    total: int | None = None  # None: the run does not say where it ends
    metrics: dict[str, str] = field(default_factory=dict)


def follow(job: Job, steps: str) -> Progress:
    """Where a job's run is.

    Args:
        steps: the setting that holds the run's last global_step, or, where metrics.csv has a
            column charts/<steps>, the last value of that one: epochs, for example.
    """
    metrics = last_row(job.folder / "metrics.csv")
    step = metrics.get(f"charts/{steps}", metrics.get("global_step"))
    return Progress(_whole(step) or 0, total_steps(job, steps), metrics)


def total_steps(job: Job, steps: str) -> int | None:
    """From the job's own settings; where these leave it unsaid, from the run's configuration."""
    if steps in job.settings:
        return _whole(job.settings[steps])
    try:
        return _whole(load_yaml(job.folder / "config.yaml").get(steps))
    except UserError:  # it has not begun
        return None


def last_row(table: Path) -> dict[str, str]:
    """The last complete row of a CSV table by column; {} while there is none."""
    try:
        with table.open("rb") as file:
            header = file.readline().decode()
            file.seek(max(file.tell(), table.stat().st_size - 8192))
            lines = file.read().decode(errors="replace").split("\n")[:-1]
    except OSError:  # not there yet
        return {}
    if not lines:
        return {}
    names, values = next(csv.reader([header])), next(csv.reader([lines[-1]]), [])
    return dict(zip(names, values, strict=True)) if len(names) == len(values) else {}


def _whole(value: str | None) -> int | None:
    try:
        return int(float(value)) if value is not None else None
    except (TypeError, ValueError):
        return None
