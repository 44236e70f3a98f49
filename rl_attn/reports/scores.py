"""One metric's numbers by task, method and run: raw, and normalised between two anchors."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from rl_attn.reports.study import Metric, Study

#: What resampling normalised scores leaves out; see `normalised`.
ANCHORS_HELD = (
    "Intervals of normalised scores hold the two means that count as 0 and 1 fixed: how uncertain "
    "these are is not in them."
)


@dataclass(frozen=True)
class Scores:
    """The finite values of one metric."""

    metric: Metric
    tasks: tuple[str, ...]
    methods: tuple[str, ...]
    values: dict[tuple[str, str], dict[int, float]]  # (task, method) -> run -> value
    references: dict[str, float]  # task -> the reference's mean
    scale: str = "raw"  # or "normalised"
    baselines: dict[str, str] = field(default_factory=dict)  # method -> its own, see `baseline_of`

    @property
    def title(self) -> str:
        return self.metric.label + (" (normalised)" if self.scale == "normalised" else "")

    def runs(self, task: str, method: str) -> np.ndarray:
        """(runs,), in the order of the seeds or folds."""
        return np.array(list(self.values[task, method].values()), dtype=np.float64)

    def baseline_of(self, method: str) -> str | None:
        """What a method is tested against; None for a baseline itself."""
        if method == self.methods[0] or method in self.baselines.values():
            return None
        return self.baselines.get(method, self.methods[0])

    def matrices(self, methods: Sequence[str]) -> tuple[list[str], dict[str, np.ndarray]]:
        """The tasks on which all `methods` have runs, and each method's (tasks, runs).

        Where a method has more runs on one task than on another, its first ones count, as many as
        it has on every task: a matrix has no holes.
        """
        tasks = [t for t in self.tasks if all(self.values[t, m] for m in methods)]
        found = {}
        for method in methods if tasks else ():
            shortest = min(len(self.values[task, method]) for task in tasks)
            found[method] = np.stack([self.runs(task, method)[:shortest] for task in tasks])
        return tasks, found

    def present(self) -> list[str]:
        """Methods that have any run."""
        return [m for m in self.methods if any(self.values[task, m] for task in self.tasks)]

    def left_out(self) -> list[str]:
        """What `matrices` of the present methods leaves out, in words."""
        methods = self.present()
        tasks, matrices = self.matrices(methods)
        none = [method for method in self.methods if method not in methods]
        notes = []
        if none:
            notes.append(f"{self.title}: no run of {', '.join(none)}: not in the aggregates")
        missing = [task for task in self.tasks if task not in tasks]
        if missing and methods:
            notes.append(
                f"{self.title}: the aggregates leave out {', '.join(missing)}, where not every "
                "method has a run"
            )
        for method, matrix in matrices.items():
            spare = sum(len(self.values[task, method]) for task in tasks) - matrix.size
            if spare:
                notes.append(
                    f"{self.title}: {method} has more runs on some tasks than on others: "
                    f"{spare} of them are not in the aggregates"
                )
        return notes


def scores(study: Study, metric: Metric) -> Scores:
    """The metric's values in the evaluations of the study's finished cells."""
    values = {
        (task, method): {
            cell.run: cell.summary[metric.name].mean
            for cell in study.of(task, method)
            if metric.name in cell.summary and math.isfinite(cell.summary[metric.name].mean)
        }
        for task in study.tasks
        for method in study.methods
    }
    anchors = {task: _anchor(study, metric, task, values) for task in study.tasks}
    anchors = {task: mean for task, mean in anchors.items() if math.isfinite(mean)}
    tasks, methods = tuple(study.tasks), tuple(study.methods)
    return Scores(metric, tasks, methods, values, anchors, baselines=study.baselines)


def _anchor(
    study: Study, metric: Metric, task: str, values: dict[tuple[str, str], dict[int, float]]
) -> float:
    """The mean of the metric's reference, or of the method that is its reference; else NaN."""
    name = metric.reference or ""
    if (name, task) in study.references:
        found = study.references[name, task].get(metric.name)
        return math.nan if found is None else found.mean
    runs = values.get((task, name), {})
    return float(np.mean(list(runs.values()))) if runs else math.nan


def normalised(raw: Scores) -> tuple[Scores | None, list[str]]:
    """(x - reference) / (best - reference) on each task, and what could not be, in words.

    `best` is the mean of the metric's `best` method, or the best mean of any method on that task,
    so 1 is the best seen, not the best there is. Both means come from runs, and intervals of the
    result take them for known (ANCHORS_HELD). Tasks without a reference, and those where no
    such mean is better than the reference, have no such scale and are left out. None: no task
    has one.
    """
    if raw.metric.reference is None or not raw.metric.compared:
        return None, []
    notes, values, tasks = [], {}, []
    for task in raw.tasks:
        ones = raw.methods if raw.metric.best is None else (raw.metric.best,)
        means = [raw.runs(task, method).mean() for method in ones if raw.values[task, method]]
        if not means and raw.metric.best is None:
            continue
        if task not in raw.references:
            notes.append(f"{raw.metric.label} on {task} is not normalised: no reference")
            continue
        if not means:
            notes.append(f"{raw.metric.label} on {task} is not normalised: no run of {ones[0]}")
            continue
        low = raw.references[task]
        best = max(means, key=lambda mean: raw.metric.sign * mean)
        if raw.metric.sign * (best - low) <= 0:
            notes.append(
                f"{raw.metric.label} on {task} is not normalised: no method's mean is better than "
                f"the reference's ({low:.4g})"
            )
            continue
        tasks.append(task)
        for method in raw.methods:
            runs = raw.values[task, method]
            values[task, method] = {run: (x - low) / (best - low) for run, x in runs.items()}
    if not tasks:
        return None, notes
    return replace(raw, tasks=tuple(tasks), values=values, scale="normalised"), notes
