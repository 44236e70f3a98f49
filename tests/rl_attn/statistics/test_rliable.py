"""The numbers of rliable 1.2.0 itself, recorded.

Produced once with rliable 1.2.0, arch 6.3.0, NumPy 1.26.4, pandas 2.3.3 and SciPy 1.17.1 by

    get_interval_estimates({"ours": OURS.T}, ..., reps=50_000, random_state=RandomState(0))
    get_interval_estimates({"pair": (OURS.T, THEIRS.T)}, probability_of_improvement, ...)
    create_performance_profile({"ours": OURS.T}, THRESHOLDS, reps=50_000)

on the transposed matrices, since rliable's are runs x tasks. In the second, SciPy's `mannwhitneyu`
was replaced by the U statistic alone, without its p-value, which took most of the time; the two
gave the same probability on 100 resamples. Intervals are rliable's defaults: 95 %, percentiles,
runs resampled for each task by itself.
"""

import numpy as np
import pytest

from rl_attn.statistics import bootstrap, performance_profile, probability_of_improvement

OURS = np.array(  # tasks x runs
    [
        [0.12, 0.55, 0.31, 0.78, 0.49],
        [1.40, 0.92, 1.05, 0.66, 1.21],
        [0.03, 0.00, 0.27, 0.10, 0.08],
        [0.83, 0.71, 0.95, 0.88, 1.02],
    ]
)
THEIRS = np.array(
    [
        [0.20, 0.44, 0.31, 0.52, 0.15],
        [0.80, 0.92, 1.10, 0.58, 0.97],
        [0.05, 0.12, 0.19, 0.02, 0.08],
        [0.69, 0.74, 0.80, 0.91, 0.62],
    ]
)
#: metric -> point, low, high of OURS and of THEIRS.
AGGREGATES = {
    "mean": ((0.618, 0.5375, 0.698), (0.5105, 0.4545, 0.565)),
    "median": ((0.664, 0.553, 0.768), (0.538, 0.462, 0.611)),
    "iqm": ((0.64, 0.527, 0.746), (0.509, 0.435, 0.59)),
    "optimality_gap": ((0.416, 0.3525, 0.481), (0.4945, 0.4435, 0.5475)),
}
THRESHOLDS = [0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.3]
PROFILE = {
    "values": [0.9, 0.8, 0.75, 0.6, 0.45, 0.2, 0.05],
    "low": [0.8, 0.75, 0.65, 0.5, 0.3, 0.05, 0.0],
    "high": [1.0, 0.9, 0.85, 0.7, 0.6, 0.35, 0.15],
}


@pytest.mark.parametrize("metric", AGGREGATES)
@pytest.mark.parametrize("which", [0, 1], ids=["ours", "theirs"])
def test_aggregates_with_their_intervals(metric, which):
    point, low, high = AGGREGATES[metric][which]
    found = bootstrap((OURS, THEIRS)[which], metric, np.random.default_rng(0))
    assert found.value == pytest.approx(point, abs=1e-12)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.01)


def test_probability_of_improvement_with_its_interval():
    found = probability_of_improvement(OURS, THEIRS, np.random.default_rng(0))
    assert found.value == pytest.approx(0.655, abs=1e-12)
    assert (found.low, found.high) == pytest.approx((0.48, 0.82), abs=0.01)


def test_performance_profile_with_its_band():
    found = performance_profile(OURS, THRESHOLDS, np.random.default_rng(0), resamples=50_000)
    assert found.values == pytest.approx(PROFILE["values"], abs=1e-12)
    assert found.low == pytest.approx(PROFILE["low"], abs=0.01)
    assert found.high == pytest.approx(PROFILE["high"], abs=0.01)
