import math

import pytest

from rl_attn.reports.study import Metric
from rl_attn.supervised.comparison.heat_maps import grid_values, heat_map_plates

REPORT = {
    "compare": "weight",
    "metrics": [{"name": "selection_score", "label": "Optim Value"}],
    "heat_maps": ["selection_score"],
}


@pytest.fixture
def grid(folder):
    """2 x 2, two seeds, of which one cell has not run."""
    folder.declare(
        grid={"weight": [8, 0.5], "attention_epochs": [5, 7]}, seeds=[1, 2], report=REPORT
    )
    for i, (weight, epochs) in enumerate([(8, 5), (8, 7), (0.5, 5)]):
        for seed in (1, 2):
            folder.cell(f"{weight}-{epochs}-s{seed}", {"selection_score": 0.1 * i + 0.02 * seed})
    return folder


def test_means_over_seeds_in_the_order_of_the_grid(grid):
    values = grid_values(grid.read(), Metric("selection_score", "Optim Value"))
    assert list(values.index) == ["8", "0.5"] and list(values.columns) == ["5", "7"]
    assert values.loc["8"].tolist() == pytest.approx([0.03, 0.13])
    assert values.loc["0.5", "5"] == pytest.approx(0.23) and math.isnan(values.loc["0.5", "7"])


def test_the_figure_has_its_numbers_beside_it(grid):
    study = grid.read()
    (plate,) = heat_map_plates(study, ["selection_score"])
    assert plate.picture.png.startswith(b"\x89PNG")
    assert plate.title == "Optim Value over weight and attention_epochs"
    assert "mean over 2 seeds" in plate.caption and next(iter(plate.data)) == "weight"
    assert heat_map_plates(study, ["nothing"]) == []
    assert "no run has a value of nothing: no heat map of it" in study.problems
