"""The whole comparison of hand-made tables, whose numbers are known."""

import pandas as pd
import pytest
from PIL import Image

from rl_attn.reports.analysis import Resampling
from rl_attn.supervised.comparison.report import compare

HOW = Resampling(100)


def test_everything_is_written_of_what_is_finished(two_methods):
    out = two_methods.path / "report"
    report = compare(two_methods.path, out, figures=True, how=HOW)
    for name in ("examples_0", "variance", "faithfulness", "tasks_iou"):
        with Image.open(out / "figures" / f"{name}.png") as picture:
            low, high = picture.convert("L").getextrema()
            assert high - low > 100, f"{name} is blank"
        assert (out / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    page = (out / "index.html").read_text()
    assert "Spatial variance of attention" in page and "This study is not complete" in page
    assert report.sections[-1].title == "Runs"


def test_tables_say_mean_spread_and_test(two_methods):
    out = two_methods.path / "report"
    report = compare(two_methods.path, out, figures=False, how=HOW)
    text = (out / "tables" / "tasks_iou.md").read_text()
    # Vanilla 0, .1, .2; CAMAL .2, .3: better, and of two pairs p is 1/4 at best
    assert "| all | 0.100 ± 0.100 | <u>0.250 ± 0.071</u> |" in text
    assert r"\underline{0.250 $\pm$ 0.071}" in (out / "tables" / "tasks_iou.tex").read_text()
    row = pd.read_csv(out / "tables" / "tasks_iou.csv").set_index("method").loc["CAMAL"]
    assert row["p_value"] == 0.25 and row["folds"] == 2
    assert not list((out / "figures").iterdir())
    assert any("3 folds: Wilcoxon's p is 0.125 at best" in note for note in report.notes)


@pytest.mark.parametrize("folds", [4, 5])
def test_bold_needs_five_folds(folder, folds):
    folder.declare(grid={"method": ["Vanilla", "CAMAL"]}, folds=folds)
    for fold in range(folds):
        folder.cell(f"Vanilla-f{fold}", {"iou": 0.1 + 0.01 * fold})
        folder.cell(f"CAMAL-f{fold}", {"iou": 0.3 + 0.02 * fold})
    out = folder.path / "report"
    notes = compare(folder.path, out, figures=False, how=HOW).notes
    text = (out / "tables" / "tasks_iou.md").read_text()
    assert ("**0.340 ± 0.032**" in text) == (folds == 5)
    assert any("0.0625 at best" in note for note in notes) == (folds == 4)


def test_methods_are_tested_against_their_own_baselines(folder):
    folder.declare(
        grid={"method": ["Base", "A", "Base of B", "B"]},
        seeds=[1, 2, 3, 4, 5],
        report={"paired": True, "baselines": {"B": "Base of B"}},
    )
    for seed in range(1, 6):
        for method, level in {"Base": 0.5, "A": 0.6, "Base of B": 0.9, "B": 0.8}.items():
            folder.cell(f"{method.replace(' ', '-')}-s{seed}", {"accuracy": level + 0.01 * seed})
    compare(folder.path, folder.path / "report", figures=False, how=HOW)
    text = (folder.path / "report" / "tables" / "tasks_accuracy.md").read_text()
    assert "**0.630 ± 0.016**" in text  # A over Base
    assert "| 0.830 ± 0.016 |" in text  # B is above Base, and not above its own
    assert "B than Base of B" in text and "over seeds" in text


def test_metrics_of_other_splits_have_files_of_their_own(folder):
    folder.declare(
        grid={"method": ["Vanilla", "CAMAL"]},
        seeds=[1],
        report={"metrics": [{"name": "test-shifted/accuracy", "label": "Shifted"}]},
    )
    for method in ("Vanilla", "CAMAL"):
        folder.cell(f"{method}-s1", {"test-shifted/accuracy": 0.5})
    compare(folder.path, folder.path / "report", figures=False, how=HOW)
    tables = folder.path / "report" / "tables"
    assert "0.500" in (tables / "tasks_test-shifted-accuracy.md").read_text()
