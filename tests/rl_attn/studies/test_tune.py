"""A study that is tuned before: trials, what is chosen by them, and what is refused."""

import csv

import pytest

from rl_attn.errors import UserError
from rl_attn.reports.collect import collect
from rl_attn.reports.content import tuning_table
from rl_attn.studies.schema import read_study

TUNE = {"by": "quick/value", "values": {"A": {"gain": [0.5, 2.0]}, "B": {"gain": [2.0, 2.0]}}}
TUNED = {
    "arguments": {"total_timesteps": 3},
    "grid": {"method": {"plain": {}, "A": {"bold": False}, "B": {"bold": True}}},
    "seeds": [1, 2],
    "report": {"metrics": [{"name": "value"}]},
    "tune": {**TUNE, "values": {"A": {"gain": [0.5, 2.0]}, "B": {"gain": [2.0, 0.5]}}},
}


def test_each_label_gets_the_best_of_its_values(lab, capsys):
    lab.write(**TUNED)
    assert lab.run("--dry-run") == 0
    assert "4 runs to do" in capsys.readouterr().out and not lab.out.exists()
    small = lab.folder / "kept" / "small.csv"
    assert lab.run("--workers", "2", "--results", str(small)) == 0
    assert small.read_text().splitlines()[0] == "cell,method,seed,value"  # the report's metrics
    assert small.read_text().count("\n") == 7
    rows = list(csv.DictReader((lab.out / "tuning" / "results.csv").open()))
    assert [row["method"] for row in rows] == ["A 0.5", "A 2.0", "B 2.0", "B 0.5"]
    assert [row["method"] for row in lab.results()] == [
        m for m in ("plain", "A", "B") for _ in "12"
    ]
    kept = read_study(lab.out / "study.yaml")
    assert kept.grid["method"] == {
        "plain": {},
        "A": {"bold": False, "gain": 2.0},
        "B": {"bold": True, "gain": 2.0},
    }
    found = collect(lab.out)
    # 0.101 of the first seed three times, x -> 2 x (1 - x): 0.4321...; with 0.5 it falls.
    x = 0.101
    for _ in range(3):
        x = 2 * x * (1 - x)
    assert [(t.label, t.value, t.best) for t in found.tuned] == [
        ("A", 0.5, False),
        ("A", 2.0, True),
        ("B", 2.0, True),
        ("B", 0.5, False),
    ]
    assert found.tuned[1].score == pytest.approx(x)
    assert "**0.4" in tuning_table(found).markdown()
    starts = lab.starts()
    assert lab.run() == 0 and lab.starts() == starts  # again: nothing is left to do


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"values": {"A": {"gain": [1, 2]}, "B": {"gain": [1, 2, 3]}}}, "unequal budgets"),
        ({"values": {"C": {"gain": [1, 2]}}}, "'C'"),
        ({"values": {"A": {"gain": [1]}}}, "two or more values"),
        ({"values": {"A": {"gain": [1, 2], "seed": [1, 2]}}}, "one flag"),
        ({"by": None}, "by: COLUMN"),
        ({"seeds": [0.5]}, "whole numbers"),
        ({"trials": 3}, "trials"),
    ],
)
def test_what_cannot_be_tuned_is_refused(lab, changes, message):
    lab.write(**{**TUNED, "tune": {**TUNE, **changes}})
    with pytest.raises(UserError, match=message):
        lab.run()
