"""Learning curves from whole and broken metrics.csv."""

import numpy as np
import pytest

from rl_attn.reports.collect import collect
from rl_attn.reports.curves import areas, column_of, learning_curves, read_metrics
from rl_attn.reports.study import Metric

IOU = Metric("iou", "IoU")


def test_the_mean_over_runs_with_its_interval_at_common_steps(study_of):
    folder = study_of({("A", "x"): [{"iou": 0.0}, {"iou": 0.0}]})
    for number, slope in ((1, 1.0), (2, 3.0)):
        lines = [f"{step},{slope * step}" for step in (0, 10, 20)]
        text = "\n".join(["global_step,attention/iou", *lines]) + "\n"
        (folder / "cells" / f"A-x-s{number}" / "metrics.csv").write_text(text)
    curves, notes = learning_curves(collect(folder), IOU, smoothing=0, points=5)
    assert notes == [] and list(curves["step"]) == [0, 5, 10, 15, 20]
    np.testing.assert_allclose(curves["mean"], [0, 10, 20, 30, 40])
    # at 20: 20 and 60, s.d. 28.28, half width 1.96 x 28.28 / sqrt(2) = 39.2
    assert curves["high"].iloc[-1] == pytest.approx(40 + 39.2)


def test_smoothing_is_a_trailing_mean_over_a_share_of_the_rows(study_of):
    folder = study_of({("A", "x"): [{"iou": 0.0}]})
    text = "global_step,attention/iou\n" + "".join(f"{i},{i % 2}\n" for i in range(10))
    (folder / "cells" / "A-x-s1" / "metrics.csv").write_text(text)
    curves, _ = learning_curves(collect(folder), IOU, smoothing=0.2, points=10)
    np.testing.assert_allclose(curves["mean"], [0] + [0.5] * 9)
    assert curves["low"].isna().all()  # one run has no interval


def test_the_area_under_a_curve_is_its_mean_height(study_of):
    folder = study_of({("A", "x"): [{"iou": 0.0}, {"iou": 0.0}], ("B", "x"): [{"iou": 0.0}]})
    for name, values in (("A-x-s1", (0, 8, 8)), ("A-x-s2", (0, 0, 0)), ("B-x-s1", (5, "", ""))):
        lines = [f"{step},{value}" for step, value in zip((0, 10, 20), values, strict=True)]
        text = "\n".join(["global_step,attention/iou", *lines]) + "\n"
        (folder / "cells" / name / "metrics.csv").write_text(text)
    curves, _ = learning_curves(collect(folder), IOU, smoothing=0, points=5)
    # the mean curve 0, 2, 4, 4, 4 has 10 + 30 + 40 + 40 over 40; of a single point it is that point
    assert areas(curves).to_numpy().tolist() == [["A", "x", 3.0], ["B", "x", 5.0]]


def test_a_run_that_ended_early_no_longer_counts(study_of):
    folder = study_of({("A", "x"): [{"iou": 0.0}, {"iou": 0.0}]})
    for number, last in ((1, 10), (2, 20)):
        text = f"global_step,attention/iou\n0,{number}\n{last},{number}\n"
        (folder / "cells" / f"A-x-s{number}" / "metrics.csv").write_text(text)
    curves, _ = learning_curves(collect(folder), IOU, smoothing=0, points=3)
    assert list(curves["runs"]) == [2, 2, 1]
    np.testing.assert_allclose(curves["mean"], [1.5, 1.5, 2])


def test_a_line_that_was_cut_off_is_left_out_and_words_are_not_numbers(tmp_path):
    file = tmp_path / "metrics.csv"
    file.write_text(
        "global_step,attention/iou\n1,0.1\n2,\n3,nonsense\n4,inf\n5,0.5,9,9\n6,0.6\n7,0."
    )
    table = read_metrics(file)
    assert list(table["global_step"]) == [1, 2, 3, 4, 6]
    assert list(table["attention/iou"].dropna()) == [0.1, 0.6]


@pytest.mark.parametrize("text", ["", "global_step", "a,b\n1,2\n", "\x00\x00\n"])
def test_a_file_without_a_table_is_said(text, study_of):
    folder = study_of({("A", "x"): [{"iou": 0.1}, {"iou": 0.2}]})
    (folder / "cells" / "A-x-s1" / "metrics.csv").write_text(text)
    curves, notes = learning_curves(collect(folder), IOU, smoothing=0.05)
    assert len(notes) == 1 and "A-x-s1/metrics.csv cannot be read" in notes[0]
    assert set(curves["runs"]) == {1}


def test_which_column_logs_a_metric():
    columns = ["global_step", "charts/mean_return_100", "attention/iou", "test/accuracy"]
    assert column_of(IOU, columns) == "attention/iou"
    assert column_of(Metric("episode_return", "Return"), columns) == "charts/mean_return_100"
    assert column_of(Metric("accuracy", "Accuracy"), columns) == "test/accuracy"
    assert column_of(Metric("accuracy", "Accuracy", curve="attention/iou"), columns) == columns[2]
    assert column_of(Metric("accuracy", "Accuracy", curve="nowhere"), columns) is None
    assert column_of(Metric("alpha", "alpha"), columns) is None
