"""Known intervals and known verdicts from hand-made numbers."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from rl_attn.reports import analysis
from rl_attn.reports.analysis import Resampling
from rl_attn.reports.collect import collect
from rl_attn.reports.scores import normalised, scores

HOW = Resampling(resamples=4_000)


def of(folder, name):
    study = collect(folder)
    return scores(study, next(metric for metric in study.metrics if metric.name == name))


def row(table, **wanted):
    for key, value in wanted.items():
        table = table[table[key] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_means_have_intervals_of_196_standard_errors(known):
    means = analysis.task_means(of(known, "iou"))
    found = row(means, task="A", method="CAMAL")
    # 0.30, 0.32, 0.34: mean 0.32, s.d. 0.02, half width 1.96 x 0.02 / sqrt(3) = 0.0226321
    assert found["mean"] == pytest.approx(0.32) and found["std"] == pytest.approx(0.02)
    assert found["low"] == pytest.approx(0.2973679, abs=1e-6)
    assert found["high"] == pytest.approx(0.3426321, abs=1e-6)
    assert found["runs"] == 3


def test_verdicts_better_undecided_and_worse(known):
    iou = analysis.improvements(of(known, "iou"), HOW)
    camal = row(iou, method="CAMAL", task="all tasks")
    assert (camal["probability"], camal["low"], camal["high"]) == (1, 1, 1)
    assert camal["verdict"] == "better"
    assert row(iou, method="Blind", task="all tasks")["verdict"] == "worse"
    returns = analysis.improvements(of(known, "episode_return"), HOW)
    camal = row(returns, method="CAMAL", task="all tasks")  # wins all on A, loses all on B
    assert (camal["probability"], camal["verdict"]) == (0.5, "undecided")
    assert row(returns, method="CAMAL", task="A")["probability"] == 1
    assert row(returns, method="CAMAL", task="B")["probability"] == 0


OVERLAP = {
    ("A", "x"): [{"iou": v} for v in (1.0, 3.0, 5.0, 7.0)],
    ("A", "y"): [{"iou": v} for v in (2.0, 3.0, 8.0, 9.0)],
    ("B", "x"): [{"iou": v} for v in (1.0, 2.0, 3.0, 4.0)],
    ("B", "y"): [{"iou": v} for v in (1.0, 4.0, 4.0, 5.0)],
}


def test_the_probability_is_mann_whitneys_u_over_the_pairs(study_of):
    found = analysis.improvements(of(study_of(OVERLAP), "iou"), HOW)
    expected = []
    for task in ("A", "B"):
        x, y = ([run["iou"] for run in OVERLAP[task, m]] for m in ("x", "y"))
        expected.append(stats.mannwhitneyu(y, x).statistic / 16)
        assert row(found, task=task)["probability"] == pytest.approx(expected[-1])
    overall = row(found, task="all tasks")
    assert overall["probability"] == pytest.approx(np.mean(expected))
    assert overall["low"] < 0.5 < overall["high"] and overall["verdict"] == "undecided"


def test_where_lower_is_better_the_verdict_turns(study_of):
    metric = {"name": "iou", "label": "Error", "better": "lower"}
    values = {("A", m): [{"iou": v + i} for i in range(3)] for m, v in (("x", 0.0), ("y", 10.0))}
    folder = study_of(values, report={"compare": "method", "metrics": [metric]})
    assert analysis.improvements(of(folder, "iou"), HOW).iloc[0]["verdict"] == "worse"


def test_the_stratified_bootstrap_matches_all_resamples_enumerated(study_of):
    values = {("A", "x"): [0.0, 3.0, 6.0], ("B", "x"): [1.0, 1.0, 10.0]}
    folder = study_of({key: [{"iou": v} for v in runs] for key, runs in values.items()})
    found = analysis.aggregates(of(folder, "iou"), Resampling(resamples=40_000))
    draws = product(*(product(runs, repeat=3) for runs in values.values()))
    means = [np.mean(draw) for draw in draws]  # all 27 x 27, equally likely
    low, high = np.quantile(means, [0.025, 0.975])
    mean = row(found, aggregate="mean")
    assert mean["value"] == pytest.approx(3.5)
    assert mean["low"] == pytest.approx(low, abs=0.17)  # one step of the lattice of means
    assert mean["high"] == pytest.approx(high, abs=0.17)
    assert row(found, aggregate="median")["value"] == pytest.approx((3 + 4) / 2)
    # sorted 0 1 1 3 6 10: a quarter of six is cut to one at each end
    assert row(found, aggregate="iqm")["value"] == pytest.approx((1 + 1 + 3 + 6) / 4)
    assert "optimality_gap" not in set(found["aggregate"])  # not a score whose goal is 1


def test_the_optimality_gap_of_normalised_scores(known):
    found = analysis.aggregates(normalised(of(known, "episode_return"))[0], HOW)
    # Vanilla: 0.4 0.5 0.6 and 0.9 1 1.1, which counts as 1
    gap = row(found, method="Vanilla", aggregate="optimality_gap")
    assert gap["value"] == pytest.approx(1 - (0.4 + 0.5 + 0.6 + 0.9 + 1 + 1) / 6)
    assert gap["low"] <= gap["value"] <= gap["high"]


def test_one_run_has_no_interval_and_no_verdict(study_of):
    folder = study_of({("A", "x"): [{"iou": 0.1}], ("A", "y"): [{"iou": 0.9}]})
    raw = of(folder, "iou")
    assert analysis.aggregates(raw, HOW)[["low", "high"]].isna().all(axis=None)
    assert analysis.task_means(raw)[["low", "high", "std"]].isna().all(axis=None)
    found = analysis.improvements(raw, HOW).iloc[0]
    assert found["verdict"] == "no verdict: one run" and np.isnan(found["low"])


def test_folds_are_compared_by_wilcoxon_and_marked_as_in_the_paper(study_of):
    plain = [0.50, 0.52, 0.54, 0.56, 0.58, 0.60]
    better = [v + 0.01 * (i + 1) for i, v in enumerate(plain)]  # each fold: p = 1/64
    unsure = [v + (0.05 if i < 4 else -0.04) for i, v in enumerate(plain)]
    worse = [v - 0.1 for v in plain]
    columns = {"CE": plain, "sure": better, "unsure": unsure, "worse": worse}
    values = {("A", m): [{"iou": v} for v in column] for m, column in columns.items()}
    found = analysis.fold_tests(of(study_of(values, folds=6), "iou"))
    assert row(found, method="sure")["p_value"] == pytest.approx(1 / 64)
    assert row(found, method="sure")["mark"] == "bold"
    assert row(found, method="unsure")["mark"] == "underline"
    assert row(found, method="worse")["mark"] == "" and row(found, method="worse")["p_value"] == 1


def test_folds_have_a_test_that_allows_for_their_common_data(study_of):
    columns = {"CE": [0.0, 0.0, 0.0], "A": [1.0, 2.0, 3.0]}
    values = {("A", m): [{"iou": v} for v in column] for m, column in columns.items()}
    folder = study_of(values, folds=3)
    assert collect(folder).test_share == 1.0  # of three folds one is trained on
    found = row(analysis.fold_tests(of(folder, "iou"), 1 / 9), method="A")
    assert found["corrected_t"] == pytest.approx(3)
    assert found["corrected_p"] == pytest.approx((1 - 3 / 11**0.5) / 2)
    assert np.isnan(analysis.fold_tests(of(folder, "iou"))["corrected_p"]).all()  # of seeds


def test_folds_are_paired_by_number_even_where_one_is_missing(study_of):
    values = {("A", m): [{"iou": v + i} for i in range(5)] for m, v in (("x", 0.0), ("y", 0.5))}
    folder = study_of(values, folds=5)
    (folder / "cells" / "A-x-f1" / "evaluation.json").unlink()
    found = analysis.fold_tests(of(folder, "iou")).iloc[0]
    assert found["folds"] == 4 and found["r_plus"] == 10 and found["r_minus"] == 0


def test_profiles_fall_from_one_to_nothing(known):
    found = analysis.profiles(normalised(of(known, "episode_return"))[0], HOW)
    camal = found[found["method"] == "CAMAL"]
    assert camal["share"].iloc[0] == 1 and camal["share"].iloc[-1] == 0
    assert (camal["share"].diff().dropna() <= 0).all()
    near = camal.iloc[(camal["threshold"] - 0.75).abs().argmin()]
    assert near["share"] == 0.5  # 0.9 1 1.1 against 0.4 0.5 0.6
    assert (camal["low"] <= camal["share"]).all() and (camal["share"] <= camal["high"]).all()


def test_numbers_do_not_depend_on_what_else_is_computed(known):
    raw = of(known, "episode_return")
    first = analysis.aggregates(raw, HOW)
    analysis.improvements(raw, HOW)
    assert first.equals(analysis.aggregates(raw, HOW))
    other = analysis.aggregates(raw, Resampling(resamples=4_000, seed=1))
    assert not first.equals(other)
