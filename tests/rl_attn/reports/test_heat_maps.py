import math

import pytest

from rl_attn.reports.analysis import Resampling
from rl_attn.reports.assemble import assemble
from rl_attn.reports.collect import collect
from rl_attn.reports.heat_maps import by_look, grid_values, heat_map_plates, look_plates
from rl_attn.reports.study import Metric

REPORT = {
    "compare": "weight",
    "metrics": [{"name": "selection_score", "label": "Optim Value"}],
    "heat_maps": ["selection_score"],
}


@pytest.fixture
def grid(study_of):
    """2 x 2, two seeds, of which one cell has not run."""
    scores = {("8", "5"): 0.0, ("8", "7"): 0.1, ("0.5", "5"): 0.2}
    runs = {
        key: [{"selection_score": v + seed / 50} for seed in (1, 2)] for key, v in scores.items()
    }
    axes = {"weight": [8, 0.5], "attention_epochs": [5, 7]}
    return collect(study_of(runs, grid=axes, report=REPORT))


def test_means_over_seeds_in_the_order_of_the_grid(grid):
    values = grid_values(grid, Metric("selection_score", "Optim Value"))
    assert list(values.index) == ["8", "0.5"] and list(values.columns) == ["5", "7"]
    assert values.loc["8"].tolist() == pytest.approx([0.03, 0.13])
    assert values.loc["0.5", "5"] == pytest.approx(0.23) and math.isnan(values.loc["0.5", "7"])


def test_the_figure_has_its_numbers_beside_it(grid):
    study = grid
    (plate,) = heat_map_plates(study, ["selection_score"])
    assert plate.picture.png.startswith(b"\x89PNG")
    assert plate.title == "Optim Value over weight and attention_epochs"
    assert "mean over 2 seeds" in plate.caption and next(iter(plate.data)) == "weight"
    assert heat_map_plates(study, ["nothing"]) == []
    assert "no run has a value of nothing: no heat map of it" in study.problems


def test_it_stands_behind_the_answer(grid):
    titles = [section.title for section in assemble(grid, Resampling(50, 0), 0.0, []).sections]
    assert titles[:2] == ["Answer", "Grid"]


#: Of two seeds; the last method was not evaluated under looks.
LOOKS = {
    ("A", "Vanilla"): [
        {f"looks/{a}/episode_return": v for a, v in (("plain", 4.0), ("light", 2.0))}
        | {"twins/light/flip": 0.5},
        {f"looks/{a}/episode_return": v for a, v in (("plain", 6.0), ("light", 1.0))}
        | {"twins/light/flip": 0.3},
    ],
    ("A", "CAMAL"): [
        {"looks/plain/episode_return": 7.0, "looks/drop": 3.0, "looks/light/episode_return": 3.0}
    ],
    ("A", "Blind"): [{"episode_return": 1.0}],
}


def test_a_row_for_each_method_and_a_column_for_each_axis_of_looks(study_of):
    study = collect(study_of(LOOKS))
    returns = by_look(study, "A", "looks", "episode_return")
    assert list(returns.columns) == ["plain", "light"]
    assert returns.loc["Vanilla"].tolist() == [5.0, 1.5]
    assert returns.loc["CAMAL"].tolist() == [7.0, 3.0] and "Blind" not in returns.index
    assert by_look(study, "A", "twins", "flip").to_dict() == {"light": {"Vanilla": 0.4}}
    first, second = look_plates(study)
    assert first.picture.png.startswith(b"\x89PNG") and "higher is better" in first.caption
    assert second.title == "A: share of actions that change with the look"


def test_continuous_actions_have_no_flips_and_no_figure_of_them(study_of):
    study = collect(study_of({("A", "Vanilla"): [{"twins/light/flip": float("nan")}]}))
    assert by_look(study, "A", "twins", "flip").empty and look_plates(study) == []


def test_a_study_without_looks_has_no_such_figure(grid):
    assert look_plates(grid) == []
