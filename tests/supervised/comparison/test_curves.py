import numpy as np
import pytest

from rl_attn.supervised.comparison.curves import ALL, curve_plates, faithfulness_curves


def test_means_and_bands_over_folds(two_methods):
    found = faithfulness_curves(two_methods.read()).set_index(["curve", "method", "share"])
    vanilla = found.loc["deletion", "Vanilla", 0.5]  # 0.9, 0.8, 0.7
    assert vanilla["mean"] == pytest.approx(0.8) and vanilla["runs"] == 3
    half = 1.96 * 0.1 / 3**0.5
    assert (vanilla["low"], vanilla["high"]) == pytest.approx((0.8 - half, 0.8 + half))
    assert found.loc["insertion", "CAMAL", 0.5]["mean"] == pytest.approx(0.55)
    assert set(found["task"]) == {"all"}


def test_tasks_are_put_together_as_the_paper_does(folder):
    folder.declare(grid={"data": ["A", "B"], "method": ["Vanilla"]}, seeds=[1])
    for task, level in (("A", 0.2), ("B", 0.6)):
        cell = folder.cell(f"{task}-Vanilla-s1", {"iou": 0.5})
        rows = "".join(f"{share},{level},{level}\n" for share in (0.0, 1.0))
        (cell / "faithfulness.csv").write_text(f"share,deletion,insertion\n{rows}")
    found = faithfulness_curves(folder.read()).query("curve == 'deletion' and share == 1.0")
    means = dict(zip(found["task"], found["mean"], strict=True))
    assert means == pytest.approx({"A": 0.2, "B": 0.6, ALL: 0.4})
    assert np.isnan(found.set_index("task").loc["A", "low"])


def test_a_broken_file_is_named_and_left_out(two_methods):
    (two_methods.path / "cells" / "CAMAL-f0" / "faithfulness.csv").write_text("share\n0\n")
    study = two_methods.read()
    found = faithfulness_curves(study)
    assert set(found[found["method"] == "CAMAL"]["runs"]) == {1}
    assert any("CAMAL-f0/faithfulness.csv" in problem for problem in study.problems)


def test_no_curves_no_figure(folder):
    folder.declare(grid={"method": ["Vanilla"]}, seeds=[1])
    folder.cell("Vanilla-s1", {"iou": 0.5})
    assert curve_plates(folder.read()) == []
