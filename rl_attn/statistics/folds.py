"""Does one method beat another on the same folds? (CAMAL, Appendix A; Demsar 2006.)"""

from typing import NamedTuple

import numpy as np
import scipy  # its stats load at first use: they take as long as torch
from numpy.typing import ArrayLike


class SignedRanks(NamedTuple):
    """Wilcoxon's rank sums (CAMAL, Eq. 5) and the one-tailed p-value."""

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
