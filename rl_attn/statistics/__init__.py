"""Numbers with their uncertainty, as the CAMAL paper reports them (Appendix A).

    mean_interval(episode_returns)
    wilcoxon(ours, theirs)                                     # folds of a cross-validation
    corrected_t(ours, theirs, 1 / 9)                           # the same, which overlap
    resampled_interval(ours, 1 / 9)                            # of one method on such folds
    bootstrap(scores, "iqm", np.random.default_rng(0))         # tasks x runs
    probability_of_improvement(ours, theirs, np.random.default_rng(0))
    performance_profile(scores, thresholds, np.random.default_rng(0))

Score matrices are tasks x runs. A generator in the same state gives the same numbers.

>>> from typing import get_args
>>> tuple(METRICS) == get_args(Metric)
True
>>> METRICS["iqm"](np.array([[0.0, 1.0, 2.0, 9.0]])).item()  # the mean of the middle half
1.5
"""

from rl_attn.statistics.folds import (
    CorrectedT,
    SignedRanks,
    corrected_t,
    resampled_interval,
    wilcoxon,
)
from rl_attn.statistics.intervals import Interval, mean_interval
from rl_attn.statistics.resampling import (
    METRICS,
    Estimate,
    Improvement,
    Metric,
    Profile,
    bootstrap,
    performance_profile,
    probability_of_improvement,
)

__all__ = [
    "METRICS",
    "CorrectedT",
    "Estimate",
    "Improvement",
    "Interval",
    "Metric",
    "Profile",
    "SignedRanks",
    "bootstrap",
    "corrected_t",
    "mean_interval",
    "performance_profile",
    "probability_of_improvement",
    "resampled_interval",
    "wilcoxon",
]
