import numpy as np
import pytest
from scipy import stats

from rl_attn.statistics import (
    METRICS,
    Improvement,
    bootstrap,
    performance_profile,
    probability_of_improvement,
)

SCORES = np.random.default_rng(3).random((4, 5)) * 1.6  # some above 1, for the optimality gap


def rng(seed=0):
    return np.random.default_rng(seed)


# ---------------------------------------------------------------------- rliable, straightforwardly
# As rliable 1.2.0 defines them, on its own layout: runs x tasks.

RLIABLE = {
    "mean": lambda scores: np.mean(np.mean(scores, axis=0)),
    "median": lambda scores: np.median(np.mean(scores, axis=0)),
    "iqm": lambda scores: stats.trim_mean(scores, proportiontocut=0.25, axis=None),
    "optimality_gap": lambda scores: 1 - np.mean(np.minimum(scores, 1)),
}


def rliable_improvement(x, y):
    chances = []
    for task in range(x.shape[1]):
        a, b = x[:, task], y[:, task]
        larger = sum((p > q) + (p == q) / 2 for p in a for q in b)  # Mann-Whitney's U
        chances.append(larger / (len(a) * len(b)))
    return np.mean(chances)


def resampled(scores, generator):
    """Runs x tasks: each column drawn again from itself, one number after the other."""
    columns = [
        [column[generator.integers(len(column))] for _ in range(len(column))] for column in scores.T
    ]
    return np.array(columns).T


def interval(values):
    return np.percentile(values, [2.5, 97.5])


@pytest.mark.parametrize("metric", METRICS)
def test_aggregates_are_rliables(metric):
    estimate = bootstrap(SCORES, metric, rng(), resamples=2)
    assert estimate.value == pytest.approx(RLIABLE[metric](SCORES.T), abs=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_intervals_agree_with_a_loop_over_resamples(metric):
    generator = rng(1)
    values = [RLIABLE[metric](resampled(SCORES.T, generator)) for _ in range(2000)]
    found = bootstrap(SCORES, metric, rng(2))
    np.testing.assert_allclose([found.low, found.high], interval(values), atol=0.02)


def test_probability_of_improvement_is_rliables_with_its_interval():
    ours, theirs = SCORES, np.roll(SCORES, 1, axis=0)[:, :4] - 0.1
    generator = rng(1)
    values = []
    for _ in range(2000):
        values.append(
            rliable_improvement(resampled(ours.T, generator), resampled(theirs.T, generator))
        )
    found = probability_of_improvement(ours, theirs, rng(2))
    assert found.value == pytest.approx(rliable_improvement(ours.T, theirs.T), abs=1e-12)
    np.testing.assert_allclose([found.low, found.high], interval(values), atol=0.025)


# ---------------------------------------------------------------------- by hand


def test_aggregates_by_hand():
    scores = [[0, 1, 2, 3], [2, 2, 2, 2]]  # sorted 0 1 2 2 2 2 2 3; the middle half: 2 2 2 2
    expected = {"mean": 1.75, "median": 1.75, "iqm": 2.0, "optimality_gap": 1 - 7 / 8}
    for metric, value in expected.items():
        assert bootstrap(scores, metric, rng(), resamples=2).value == value


def test_the_mean_of_one_task_has_the_binomials_interval():
    scores = [[0.0, 1.0]]  # means 0, 1/2, 1 with chances 1/4, 1/2, 1/4
    found = bootstrap(scores, "mean", rng(), resamples=2000)
    assert tuple(found) == (0.5, 0.0, 1.0)
    found = bootstrap(scores, "mean", rng(), resamples=2000, confidence=0.3)
    assert (found.low, found.high) == (0.5, 0.5)


def test_tasks_are_not_mixed():
    found = bootstrap([[1.0, 1.0], [5.0, 5.0]], "mean", rng())
    assert tuple(found) == (3.0, 3.0, 3.0)


def test_any_function_of_matrices_can_be_the_aggregate():
    found = bootstrap(SCORES, lambda scores: scores.max(axis=(-2, -1)), rng(), resamples=100)
    assert found.value == found.high == SCORES.max()


def test_probability_of_improvement_by_hand():
    # Task 1: 3 > {1, 2}, 2 > 1, 2 = 2: 3.5 of 4. Task 2: nothing wins: 0.
    found = probability_of_improvement([[3, 2], [0, 0]], [[1, 2], [1, 1]], rng())
    assert found.value == (3.5 / 4 + 0) / 2


def test_it_is_the_mann_whitney_statistic_of_scipy():
    a, b = rng(5).integers(0, 6, size=(1, 9)), rng(6).integers(0, 6, size=(1, 7))  # with ties
    found = probability_of_improvement(a, b, rng(), resamples=10)
    assert found.value == pytest.approx(stats.mannwhitneyu(a[0], b[0]).statistic / 63)


def test_the_neyman_pearson_reading():
    always = probability_of_improvement([[2, 3, 4]], [[1, 0, 1]], rng(), resamples=100)
    assert tuple(always) == (1.0, 1.0, 1.0) and always.significant
    never = probability_of_improvement([[1, 0, 1]], [[2, 3, 4]], rng(), resamples=100)
    assert tuple(never) == (0.0, 0.0, 0.0) and not never.significant
    assert not Improvement(0.6, 0.5, 0.7).significant  # 0.5 lies in the interval
    assert not Improvement(0.6, 0.45, 0.7).significant
    assert Improvement(0.6, 0.51, 0.7).significant


def test_performance_profile_by_hand():
    profile = performance_profile([[0.1, 0.5], [0.5, 0.9]], [0.0, 0.1, 0.5, 0.9], rng())
    assert profile.values.tolist() == [1.0, 0.75, 0.25, 0.0]  # strictly above
    assert profile.low.tolist() == [1.0, 0.5, 0.0, 0.0]
    assert profile.high.tolist() == [1.0, 1.0, 0.5, 0.0]


def test_profiles_agree_with_a_loop_over_resamples():
    thresholds = np.linspace(0, 1.6, 9)
    generator = rng(1)
    shares = [
        [np.mean(sample > threshold) for threshold in thresholds]
        for sample in (resampled(SCORES.T, generator) for _ in range(2000))
    ]
    profile = performance_profile(SCORES, thresholds, rng(2), resamples=20_000)
    low, high = np.percentile(shares, [2.5, 97.5], axis=0)
    np.testing.assert_allclose(profile.low, low, atol=0.051)  # steps of 1/20
    np.testing.assert_allclose(profile.high, high, atol=0.051)


# ---------------------------------------------------------------------- all of them


def test_the_same_generator_gives_the_same_numbers_and_others_give_others():
    thresholds = [0.3, 0.8]
    for estimate in (
        lambda g: bootstrap(SCORES, "iqm", g),
        lambda g: probability_of_improvement(SCORES, SCORES[::-1], g, resamples=501),
        lambda g: tuple(performance_profile(SCORES, thresholds, g).low),
    ):
        assert estimate(rng(7)) == estimate(rng(7))
    assert bootstrap(SCORES, "mean", rng(7)) != bootstrap(SCORES, "mean", rng(8))


def test_chunks_change_the_memory_only(monkeypatch):
    whole = bootstrap(SCORES, "mean", rng(), resamples=1000)
    monkeypatch.setattr("rl_attn.statistics.resampling._CHUNK", 700)
    assert bootstrap(SCORES, "mean", rng(), resamples=1000) == whole


@pytest.mark.parametrize("scores", [[1.0, 2.0], [[1.0, np.nan]], np.zeros((2, 0))])
def test_anything_but_a_full_matrix_is_refused(scores):
    with pytest.raises(ValueError, match="tasks x runs without NaN"):
        bootstrap(scores, "mean", rng())


def test_other_tasks_are_refused():
    with pytest.raises(ValueError, match="4 tasks cannot be compared with 2"):
        probability_of_improvement(SCORES, SCORES[:2], rng())
