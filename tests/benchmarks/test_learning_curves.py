"""The benchmark of what is learned over time: all learn, and the sums are right."""

import json
from math import isnan, nan

import pytest


@pytest.fixture(scope="module")
def curves(benchmark):
    return benchmark("learning_curves")


def test_all_learn_and_are_drawn(curves, tmp_path, capsys, monkeypatch):
    entries = curves.entries
    monkeypatch.setattr(curves, "entries", lambda args: entries(args)[2:])  # small frames: fast
    assert curves.main(["--quick", "--out", str(tmp_path)]) == 0
    assert {file.name for file in tmp_path.iterdir()} == {"curves.png", "curves.svg", "curves.json"}
    found = json.loads((tmp_path / "curves.json").read_text())["curves"]
    assert [*found] == ["small_cpu", "fast_cpu"]
    printed = capsys.readouterr().out
    for name, curve in found.items():
        assert name in printed
        assert curve["steps"] == [16, 32]
        assert 0 < curve["seconds"][0] < curve["seconds"][1]


def test_a_point_is_the_mean_of_the_latest_episodes_and_times_add_up(curves):
    curve = curves.Curve()
    curve.add(2.0, 32, [])
    curve.add(3.0, 32, [1.0, 2.0])
    curve.add(1.0, 32, [float(i) for i in range(30)])
    assert isnan(curve.returns[0])
    assert curve.returns[1:] == [1.5, 14.5]  # (0 + 29) / 2: the first two are of no account
    assert (curve.seconds, curve.steps) == ([2.0, 5.0, 6.0], [32, 64, 96])


@pytest.mark.parametrize(
    ("returns", "seconds"),
    [
        ([nan, 1, 3, 2, 3], 50),  # not 30: it fell below again
        ([3, 3, 3, 3, 3], 10),
        ([nan, 1, 2, 3, 2], nan),
    ],
)
def test_a_return_is_reached_for_good(curves, returns, seconds):
    curve = curves.Curve([10, 20, 30, 40, 50], [0] * 5, returns)
    assert curve.reached(3) == pytest.approx(seconds, nan_ok=True)


def test_what_was_not_reached_is_said(curves):
    good, bad = curves.Curve([1.0], [8], [2.0]), curves.Curve([0.5], [8], [1.0])
    rows = curves.table({"good": good, "bad": bad})
    cells = [list(column.cells) for column in rows.columns]
    assert cells[1:] == [
        ["8", "16"],
        ["1.00x", "2.00x"],
        ["2.00", "1.00"],
        ["1", "not reached"],
        ["1.00x", ""],
    ]
