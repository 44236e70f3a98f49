"""Aggregates over tasks and runs with stratified bootstrap intervals (Agarwal et al. 2021).

Runs are resampled with replacement, each task's among themselves; tasks are not. Intervals are
percentiles of the resampled aggregates. The definitions are those of rliable, whose matrices are
runs x tasks where these are tasks x runs (m x k in the CAMAL paper's Appendix A).
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import scipy  # its stats load at first use: they take as long as torch
from numpy.typing import ArrayLike

#: Numbers that are resampled at once: bounds the memory.
_CHUNK = 4_000_000


class Estimate(NamedTuple):
    """A number with its confidence interval.

    >>> Estimate(value=1.0, low=0.5, high=1.5).high
    1.5
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"


class Improvement(Estimate):
    """Probability that one method's run beats another's, with its confidence interval.

    >>> Improvement(value=0.9, low=0.6, high=1.0).low > 0.5
    True
    """

    __slots__ = ()

    @property
    def significant(self) -> bool:
        """By the Neyman-Pearson criterion: above 0.5, and 0.5 not in the interval."""
        return self.value > 0.5 and not self.low <= 0.5 <= self.high


class Profile(NamedTuple):
    """Share of runs that score above each threshold, with its pointwise confidence band.

    >>> ends = np.array([0.5])
    >>> Profile(thresholds=ends, values=ends, low=ends, high=ends).values
    array([0.5])
    """

    thresholds: np.ndarray  # (T,)
    values: np.ndarray  # (T,)
    low: np.ndarray  # (T,)
    high: np.ndarray  # (T,)


def _iqm(scores: np.ndarray) -> np.ndarray:
    flat = scores.reshape(*scores.shape[:-2], -1)
    return scipy.stats.trim_mean(flat, 0.25, axis=-1)


Metric = Literal["mean", "median", "iqm", "optimality_gap"]

#: (..., tasks, runs) -> (...): the mean; the median over tasks of their means; the mean of the
#: middle half of all runs; by how much runs miss a normalised score of 1.
METRICS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": lambda scores: scores.mean(axis=(-2, -1)),
    "median": lambda scores: np.median(scores.mean(axis=-1), axis=-1),
    "iqm": _iqm,
    "optimality_gap": lambda scores: 1 - np.minimum(scores, 1).mean(axis=(-2, -1)),
}


def bootstrap(
    scores: ArrayLike,
    metric: Metric | Callable[[np.ndarray], np.ndarray],
    generator: np.random.Generator,
    *,
    resamples: int = 50_000,
    confidence: float = 0.95,
) -> Estimate:
    """Stratified bootstrap interval of an aggregate over tasks and runs (CAMAL, Fig. 7).

    Args:
        scores: (tasks, runs).
        metric: a name in METRICS, or any function (..., tasks, runs) -> (...).

    >>> scores = np.array([[0.0, 1.0, 2.0]])  # one task, three runs
    >>> bootstrap(scores, "mean", np.random.default_rng(0), resamples=100).value
    1.0
    """
    scores = _matrix(scores)
    aggregate = METRICS[metric] if isinstance(metric, str) else metric
    parts = [
        aggregate(_resampled(scores, count, generator)) for count in _chunks(resamples, scores.size)
    ]
    low, high = _interval(np.concatenate(parts), confidence)
    return Estimate(float(aggregate(scores)), float(low), float(high))


def probability_of_improvement(
    ours: ArrayLike,
    theirs: ArrayLike,
    generator: np.random.Generator,
    *,
    resamples: int = 50_000,
    confidence: float = 0.95,
) -> Improvement:
    """P(ours > theirs), ties counting half, averaged over tasks (CAMAL, Eq. 6).

    Args:
        ours, theirs: (tasks, runs) of the same tasks; the numbers of runs may differ.

    >>> ours, theirs = np.array([[2.0, 3.0]]), np.array([[1.0, 2.0]])
    >>> probability_of_improvement(ours, theirs, np.random.default_rng(0), resamples=100).value
    0.875
    """
    ours, theirs = _matrix(ours), _matrix(theirs)
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} tasks cannot be compared with {len(theirs)}")
    difference = ours[:, :, None] - theirs[:, None, :]
    wins = (np.sign(difference) + 1) / 2  # (tasks, runs, runs): Eq. 6's indicator
    parts = []
    for count in _chunks(resamples, wins.size):
        a = generator.integers(ours.shape[1], size=(count, *ours.shape))
        b = generator.integers(theirs.shape[1], size=(count, *theirs.shape))
        tasks = np.arange(len(ours))[:, None, None]
        parts.append(wins[tasks, a[..., None], b[..., None, :]].mean(axis=(1, 2, 3)))
    low, high = _interval(np.concatenate(parts), confidence)
    return Improvement(float(wins.mean()), float(low), float(high))


def performance_profile(
    scores: ArrayLike,
    thresholds: ArrayLike,
    generator: np.random.Generator,
    *,
    resamples: int = 2_000,
    confidence: float = 0.95,
) -> Profile:
    """Run-score distribution (Agarwal et al. 2021): the share of runs above thresholds.

    Args:
        scores: (tasks, runs).
        thresholds: (T,).

    >>> scores, drawn = np.array([[0.0, 1.0, 2.0, 3.0]]), np.random.default_rng(0)
    >>> performance_profile(scores, [0.5, 2.5], drawn, resamples=100).values
    array([0.75, 0.25])
    """
    scores, thresholds = _matrix(scores), np.asarray(thresholds, dtype=np.float64)
    above = scores[..., None] > thresholds  # (tasks, runs, T)
    parts = []
    for count in _chunks(resamples, above.size):
        chosen = generator.integers(scores.shape[1], size=(count, *scores.shape))
        picked = above[np.arange(len(scores))[:, None], chosen]  # (count, tasks, runs, T)
        parts.append(picked.mean(axis=(1, 2)))
    low, high = _interval(np.concatenate(parts), confidence)
    return Profile(thresholds, above.mean(axis=(0, 1)), low, high)


def _matrix(scores: ArrayLike) -> np.ndarray:
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or scores.size == 0 or np.isnan(scores).any():
        raise ValueError(
            f"scores must be a matrix of tasks x runs without NaN, got shape {scores.shape} with "
            f"{int(np.isnan(scores).sum())} NaN"
        )
    return scores


def _resampled(scores: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """(count, tasks, runs): each task's runs drawn with replacement from its own."""
    chosen = generator.integers(scores.shape[1], size=(count, *scores.shape))
    return scores[np.arange(len(scores))[:, None], chosen]


def _chunks(resamples: int, size: int) -> list[int]:
    """Numbers of resamples that fit into memory together and add up to all of them."""
    each = max(1, _CHUNK // size)
    return [min(each, resamples - start) for start in range(0, resamples, each)]


def _interval(values: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """The percentile interval of resampled values along their first axis."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail], axis=0)
    return low, high
