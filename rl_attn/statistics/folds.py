"""Does one method beat another on the same folds? (CAMAL, Appendix A; Demsar 2006.)

Wilcoxon's test, which the paper takes, holds folds for independent. They are not, since any two of
them train on mostly the same data; `corrected_t` allows for that.
"""

from typing import NamedTuple

import numpy as np
import scipy  # its stats load at first use: they take as long as torch
from numpy.typing import ArrayLike

from rl_attn.statistics.intervals import Interval


class SignedRanks(NamedTuple):
    """Wilcoxon's rank sums (CAMAL, Eq. 5) and the one-tailed p-value.

    >>> SignedRanks(plus=15.0, minus=0.0, p_value=0.03125).p_value
    0.03125
    """

    plus: float  # R+: of the pairs in which the first is larger
    minus: float  # R-
    p_value: float

    @property
    def statistic(self) -> float:
        """T = min(R+, R-)."""
        return min(self.plus, self.minus)


def wilcoxon(ours: ArrayLike, theirs: ArrayLike) -> SignedRanks:
    """One-tailed Wilcoxon signed-rank test that `ours` is larger, over paired folds.

    Pairs without a difference are left out; where none differs p is 1. Exact for up to 50 pairs
    without ties, see scipy.stats.wilcoxon.

    >>> wilcoxon([0.8, 0.7, 0.9, 0.6, 0.8], [0.5, 0.6, 0.5, 0.4, 0.3])
    SignedRanks(plus=15.0, minus=0.0, p_value=0.03125)
    """
    difference = np.subtract(ours, theirs, dtype=np.float64)
    if difference.ndim != 1 or np.isnan(difference).any():
        raise ValueError(
            f"wilcoxon needs two vectors of paired numbers without NaN, got differences "
            f"{difference}"
        )
    difference = difference[difference != 0]
    if len(difference) == 0:
        return SignedRanks(0.0, 0.0, 1.0)
    ranks = scipy.stats.rankdata(np.abs(difference))
    plus, minus = ranks[difference > 0].sum(), ranks[difference < 0].sum()
    p_value = scipy.stats.wilcoxon(difference, alternative="greater").pvalue
    return SignedRanks(float(plus), float(minus), float(p_value))


class CorrectedT(NamedTuple):
    """The corrected resampled t statistic and the one-tailed p-value.

    >>> CorrectedT(t=2.0, p_value=0.09).t
    2.0
    """

    t: float
    p_value: float


def corrected_t(ours: ArrayLike, theirs: ArrayLike, test_share: float) -> CorrectedT:
    """One-tailed corrected resampled t-test that `ours` is larger (Nadeau and Bengio 2003).

    t = mean / sqrt((1 / k + test_share) * variance) of the k differences, with k - 1 degrees of
    freedom; the usual test has no `test_share`, and takes k folds for independent.

    Args:
        test_share: samples that a fold is tested on to each that it is trained on: 1 / 9 of ten
            folds as 90/10.

    >>> found = corrected_t([0.8, 0.7, 0.9], [0.5, 0.6, 0.5], test_share=1 / 9)
    >>> round(found.p_value, 3)
    0.06
    """
    difference = np.subtract(ours, theirs, dtype=np.float64)
    k = difference.size
    if difference.ndim != 1 or k < 2 or np.isnan(difference).any():
        raise ValueError(
            f"corrected_t needs two vectors of 2 or more paired numbers without NaN, got "
            f"differences {difference}"
        )
    error = np.sqrt((1 / k + test_share) * difference.var(ddof=1))
    mean = difference.mean()
    t = mean / error if error else np.copysign(np.inf, mean) if mean else 0.0
    return CorrectedT(float(t), float(scipy.stats.t.sf(t, k - 1)))


def resampled_interval(values: ArrayLike, test_share: float) -> Interval:
    """Mean of k folds' values and its 95 % interval, which allows for their overlap as
    `corrected_t` does: mean -+ t * sqrt((1 / k + test_share) * variance), with k - 1 degrees of
    freedom.

    Folds without a value (NaN) are left out; a single one has no interval: NaN.

    >>> mean, low, high = resampled_interval([0.7, 0.8, 0.9], test_share=1 / 2)
    >>> round(low, 3), round(high, 3)
    (0.407, 1.193)
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    k = len(known)
    if k < 2:
        return Interval(float(known.mean()) if k else np.nan, np.nan, np.nan)
    error = np.sqrt((1 / k + test_share) * known.var(ddof=1))
    half = float(scipy.stats.t.ppf(0.975, k - 1) * error)
    mean = float(known.mean())
    return Interval(mean, mean - half, mean + half)
