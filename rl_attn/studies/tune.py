"""Tuning before a study: its trials are a study in a folder of its own, whose best values it takes.

The trials of a label run its flags with each of its values, see `tune_section.py`.
"""

import csv
import json
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from rl_attn.errors import UserError
from rl_attn.studies.plan import Job, cells
from rl_attn.studies.schema import Study, label, study_of
from rl_attn.studies.tune_section import Tuning


class Tried(NamedTuple):
    """One value of a label's flag."""

    label: str
    flag: str
    value: Any
    score: float  # mean over the trial's runs
    best: bool


def trials(study: Study) -> Study:
    """The study of the trials; its grid has a label for each value."""
    tune, grid = tuning_of(study), study.grid
    dropped = ("tune", "report", "folds", "seeds", "references")
    kept = {key: value for key, value in study.values.items() if key not in dropped}
    if isinstance(kept.get("pace"), dict):  # by labels that trials do not have
        del kept["pace"]
    options = {
        _trial(name, value): {**grid[tune.key][name], flag: value}
        for name, (flag, values) in tune.values.items()
        for value in values
    }
    changed = {"grid": {**kept["grid"], tune.key: options}, "seeds": tune.seeds}
    return study_of({**kept, **changed, "report": {"compare": tune.key}}, Path("tune"))


def tried(study: Study, folder: Path) -> list[Tried]:
    """What the trials in `folder` have told; [] as long as one of them has not ended."""
    tune, scores = tuning_of(study), dict[str, list[float]]()
    for job in cells(trials(study), folder):
        if not job.evaluation.is_file():
            return []
        scores.setdefault(job.labels[tune.key], []).append(_score(job, tune.by))
    found = []
    for name, (flag, values) in tune.values.items():
        means = [fmean(scores[_trial(name, value)]) for value in values]
        best = means.index(max(means))
        rows = zip(values, means, strict=True)
        found += [Tried(name, flag, v, mean, i == best) for i, (v, mean) in enumerate(rows)]
    return found


def tuned(study: Study, folder: Path) -> Study:
    """The study with the best values, or as it is where trials have not ended."""
    key = tuning_of(study).key
    best = {one.label: {one.flag: one.value} for one in tried(study, folder) if one.best}
    labels = {name: flags | best.get(name, {}) for name, flags in study.grid[key].items()}
    values = {**study.values, "grid": {**study.values["grid"], key: labels}}
    return replace(study, grid={**study.grid, key: labels}, values=values)


def tuning_of(study: Study) -> Tuning:
    if study.tune is None:
        raise ValueError("the study tunes nothing")
    return study.tune


def _trial(name: str, value: Any) -> str:
    return f"{name} {label(value)}"


def _score(job: Job, by: str) -> float:
    """The column `by` where the run kept its network, else in its last row."""
    with (job.folder / "metrics.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row.get(by)]
    if not rows:
        raise UserError(f"{job.folder / 'metrics.csv'} has no column {by!r} to tune by")
    epochs = json.loads(job.evaluation.read_text(encoding="utf-8")).get("epochs")
    kept = [row for row in rows if epochs and float(row["charts/epochs"]) == epochs[0]]
    return float((kept or rows)[-1][by])
