"""Raw and normalised scores, by hand."""

import numpy as np
import pytest

from rl_attn.reports.collect import collect
from rl_attn.reports.scores import normalised, scores


def of(study, name):
    metric = next(metric for metric in study.metrics if metric.name == name)
    return scores(study, metric)


def test_scores_are_normalised_between_the_reference_and_the_best_mean_of_each_task(known):
    raw = of(collect(known), "episode_return")
    found, notes = normalised(raw)
    # A: random 2, best mean 22 (CAMAL). B: random 10, best mean 110 (Vanilla).
    np.testing.assert_allclose(found.runs("A", "Vanilla"), [0.4, 0.5, 0.6])
    np.testing.assert_allclose(found.runs("A", "CAMAL"), [0.9, 1.0, 1.1])
    np.testing.assert_allclose(found.runs("A", "Blind"), [-0.05, 0, 0.05])
    np.testing.assert_allclose(found.runs("B", "Vanilla"), [0.9, 1.0, 1.1])
    np.testing.assert_allclose(found.runs("B", "CAMAL"), [0.4, 0.5, 0.6])
    np.testing.assert_allclose(found.runs("B", "Blind"), [0, 0.1, 0.2])
    assert notes == [] and found.title == "Return (normalised)"


def test_a_metric_without_a_reference_is_not_normalised(known):
    assert normalised(of(collect(known), "iou")) == (None, [])


def test_where_lower_is_better_the_lowest_mean_is_one(study_of):
    values = {("A", "x"): [{"error": 8.0}], ("A", "y"): [{"error": 4.0}]}
    metric = {"name": "error", "label": "Error", "reference": "random", "better": "lower"}
    declared = {"report": {"compare": "method", "metrics": [metric]}}
    study = collect(study_of(values, {"A": {"error": 10.0}}, **declared))
    found, _ = normalised(of(study, "error"))
    assert found.runs("A", "y") == [1] and found.runs("A", "x") == pytest.approx(1 / 3)


def test_a_share_of_the_gain_of_one_method_over_another(study_of):
    """(x - plain) / (oracle - plain), of runs whose means are 4 and 12."""
    values = {
        ("A", "plain"): [{"gain": 3.0}, {"gain": 5.0}],
        ("A", "mine"): [{"gain": 10.0}, {"gain": 14.0}],
        ("A", "oracle"): [{"gain": 12.0}, {"gain": 12.0}],
        ("B", "plain"): [{"gain": 3.0}],
        ("B", "mine"): [{"gain": 10.0}],
    }
    metric = {"name": "gain", "reference": "plain", "best": "oracle"}
    declared = {"report": {"compare": "method", "metrics": [metric]}, "references": []}
    found, notes = normalised(of(collect(study_of(values, **declared)), "gain"))
    assert found.runs("A", "mine").tolist() == [0.75, 1.25]
    assert found.runs("A", "plain").tolist() == [-0.125, 0.125] and found.tasks == ("A",)
    assert notes == ["gain on B is not normalised: no run of oracle"]


def test_a_task_without_a_scale_is_left_out_and_said(known, study_of):
    values = {
        ("A", "x"): [{"episode_return": 5.0}],
        ("B", "x"): [{"episode_return": 5.0}],  # as bad as random
        ("C", "x"): [{"episode_return": 5.0}],  # no reference
    }
    references = {"A": {"episode_return": 1.0}, "B": {"episode_return": 5.0}}
    found, notes = normalised(of(collect(study_of(values, references)), "episode_return"))
    assert found.tasks == ("A",)
    assert "Return on B" in notes[0] and "no method's mean is better" in notes[0]
    assert "Return on C" in notes[1] and "no reference" in notes[1]


def test_a_matrix_has_no_holes_and_what_it_leaves_out_is_said(study_of):
    def runs(*values):
        return [{"iou": value} for value in values]

    values = {
        ("A", "x"): runs(0.1, 0.2, 0.3),
        ("A", "y"): runs(0.4),
        ("B", "x"): runs(0.5, 0.6),
        ("B", "y"): runs(0.7, 0.8),
        ("C", "x"): runs(0.9),
        ("C", "y"): [],
        ("A", "z"): [],
    }
    raw = of(collect(study_of(values)), "iou")
    tasks, matrices = raw.matrices(["x", "y"])
    assert tasks == ["A", "B"]
    np.testing.assert_array_equal(matrices["x"], [[0.1, 0.2], [0.5, 0.6]])
    np.testing.assert_array_equal(matrices["y"], [[0.4], [0.7]])
    notes = "\n".join(raw.left_out())
    assert "no run of z" in notes and "leave out C" in notes
    assert "x has more runs on some tasks than on others: 1 of them" in notes
    assert "y has more runs on some tasks than on others: 1 of them" in notes
