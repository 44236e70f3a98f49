"""Numbers of a study with their intervals and verdicts, as pandas tables.

Every number that the report shows, in words or in figures, comes from one of these tables, and
each of them is written as CSV. Resampling draws from a generator of its own for each number, so
that a study with one more metric gives the same intervals for the others.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from rl_attn.reports.scores import Scores
from rl_attn.statistics import (
    Improvement,
    bootstrap,
    corrected_t,
    mean_interval,
    performance_profile,
    probability_of_improvement,
    wilcoxon,
)

ALL_TASKS = "all tasks"
BETTER, WORSE, UNDECIDED = "better", "worse", "undecided"
NO_VERDICT = "no verdict: one run"

#: Wilcoxon's level in CAMAL's tables.
LEVEL = 0.05


@dataclass(frozen=True)
class Resampling:
    """How many resamples, from which seed, and how wide the intervals are."""

    resamples: int = 50_000
    seed: int = 0
    confidence: float = 0.95

    def generator(self, *names: str) -> np.random.Generator:
        """A generator that depends on the seed and on what is computed, not on the order."""
        return np.random.default_rng([self.seed, zlib.crc32("\0".join(names).encode())])


def task_means(scores: Scores) -> pd.DataFrame:
    """Mean, its 95 % interval (+- 1.96 standard errors) and s.d. over runs, per task and method.

    The standard deviation is that of a sample (ddof 1).
    """
    rows = []
    for task in scores.tasks:
        for method in scores.methods:
            runs = scores.runs(task, method)
            spread = runs.std(ddof=1) if len(runs) > 1 else np.nan
            known = (scores.metric.name, scores.scale, task, method, len(runs))
            rows.append((*known, *mean_interval(runs), spread))
    columns = ["metric", "scale", "task", "method", "runs", "mean", "low", "high", "std"]
    return pd.DataFrame(rows, columns=columns)


def fold_tests(scores: Scores, test_share: float | None = None) -> pd.DataFrame:
    """One-tailed Wilcoxon signed-rank test of each method against its baseline, paired by fold, and
    the corrected resampled t-test, which allows for what folds have in common.

    `mark` follows CAMAL's Tables 1 and 3: bold where the mean is better and p < 0.05, underline
    where it is better without that. Means and the tests are over the folds that both have.

    Args:
        test_share: as of `corrected_t`; None: runs are no folds, and have no such test.
    """
    methods = scores.methods if scores.metric.compared else ()
    pairs = [(m, scores.baseline_of(m)) for m in methods if scores.baseline_of(m)]
    rows = []
    for task in scores.tasks:
        for method, baseline in pairs:
            ours, theirs = scores.values[task, method], scores.values[task, baseline]
            folds = [fold for fold in ours if fold in theirs]
            if not folds:
                continue
            a, b = (scores.metric.sign * np.array([x[f] for f in folds]) for x in (ours, theirs))
            found, ahead = wilcoxon(a, b), a.mean() > b.mean()
            mark = ("bold" if found.p_value < LEVEL else "underline") if ahead else ""
            ranks = (found.plus, found.minus, found.p_value, mark)
            some = test_share is not None and len(folds) > 1
            corrected = corrected_t(a, b, test_share) if some else (np.nan, np.nan)
            known = (scores.metric.name, task, method, baseline, len(folds))
            rows.append((*known, *ranks, *corrected))
    columns = ["metric", "task", "method", "baseline", "folds", "r_plus", "r_minus", "p_value"]
    return pd.DataFrame(rows, columns=[*columns, "mark", "corrected_t", "corrected_p"])


def aggregates(scores: Scores, how: Resampling) -> pd.DataFrame:
    """Mean, median, IQM and optimality gap over tasks and runs with stratified bootstrap intervals.

    The optimality gap is given only where a score of 1 is the goal: normalised scores, and raw
    ones that all lie in [0, 1]. One run a task leaves nothing to resample: no interval.
    """
    tasks, matrices = scores.matrices(scores.present() if scores.metric.compared else ())
    names = ["mean", "median", "iqm"]
    unit = all(m.min() >= 0 and m.max() <= 1 for m in matrices.values())
    if scores.scale == "normalised" or (unit and scores.metric.better == "higher"):
        names.append("optimality_gap")
    rows = []
    for method, matrix in matrices.items():
        for name in names:
            generator = how.generator(scores.metric.name, scores.scale, method, name)
            options = {"resamples": how.resamples, "confidence": how.confidence}
            found = bootstrap(matrix, name, generator, **options)
            interval = (found.low, found.high) if matrix.shape[1] > 1 else (np.nan, np.nan)
            known = (scores.metric.name, scores.scale, method, len(tasks), matrix.shape[1], name)
            rows.append((*known, found.value, *interval))
    columns = ["metric", "scale", "method", "tasks", "runs", "aggregate", "value", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def improvements(scores: Scores, how: Resampling) -> pd.DataFrame:
    """P(method beats baseline) (CAMAL, Eq. 6) over all tasks and on each, with the verdict.

    Ties count half. Normalisation does not change it, so it is computed on raw scores; where lower
    is better, "beats" means lower.
    """
    baseline, rows = scores.methods[0], []
    for method in scores.methods[1:] if scores.metric.compared else ():
        tasks, matrices = scores.matrices([method, baseline])
        if not tasks:
            continue
        ours, theirs = (scores.metric.sign * matrices[name] for name in (method, baseline))
        sides = [(ALL_TASKS, ours, theirs)]
        for task in tasks if len(tasks) > 1 else ():
            every = (scores.metric.sign * scores.runs(task, name) for name in (method, baseline))
            sides.append((task, *(runs[None] for runs in every)))
        for task, a, b in sides:
            generator = how.generator(scores.metric.name, method, baseline, task)
            options = {"resamples": how.resamples, "confidence": how.confidence}
            found = probability_of_improvement(a, b, generator, **options)
            counts = (a.shape[1], b.shape[1])
            low, high = (found.low, found.high) if min(counts) > 1 else (np.nan, np.nan)
            known = (scores.metric.name, method, baseline, task, len(a), *counts)
            rows.append((*known, found.value, low, high, verdict(found, min(counts))))
    columns = ["metric", "method", "baseline", "task", "tasks", "runs", "baseline_runs"]
    return pd.DataFrame(rows, columns=[*columns, "probability", "low", "high", "verdict"])


def verdict(found: Improvement, runs: int) -> str:
    """The Neyman-Pearson reading, both ways round; one run has no interval to read."""
    if runs < 2:
        return NO_VERDICT
    if found.significant:
        return BETTER
    mirrored = Improvement(1 - found.value, 1 - found.high, 1 - found.low)
    return WORSE if mirrored.significant else UNDECIDED


def profiles(scores: Scores, how: Resampling, points: int = 101) -> pd.DataFrame:
    """Share of runs above each threshold, with its pointwise band (Agarwal et al. 2021, Fig. 4).

    Thresholds run from just below the lowest score to the highest.
    """
    _, matrices = scores.matrices(scores.present())
    columns = ["metric", "scale", "method", "threshold", "share", "low", "high"]
    parts = []
    for method, matrix in matrices.items():
        low = min(m.min() for m in matrices.values())
        high = max(m.max() for m in matrices.values())
        found = performance_profile(
            matrix,
            np.linspace(low - 0.02 * (high - low), high, points),
            how.generator(scores.metric.name, scores.scale, method, "profile"),
            resamples=min(how.resamples, 2_000),
            confidence=how.confidence,
        )
        band = (found.low, found.high) if matrix.shape[1] > 1 else (np.nan, np.nan)
        known = (scores.metric.name, scores.scale, method)
        content = (*known, found.thresholds, found.values, *band)
        parts.append(pd.DataFrame(dict(zip(columns, content, strict=True))))
    return _stacked(parts, columns)


def over(some: list[Scores], compute: Callable[[Scores], pd.DataFrame]) -> pd.DataFrame:
    """One table of what `compute` gives for each."""
    parts = [compute(scores) for scores in some]
    return _stacked(parts, list(parts[0].columns) if parts else [])


def _stacked(parts: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    parts = [part for part in parts if len(part)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
