"""What a study folder holds, whole and broken."""

import json
import shutil

import pytest

from rl_attn.errors import UserError
from rl_attn.reports.collect import collect


def test_a_whole_study_gives_its_tasks_methods_and_numbers(known):
    study = collect(known)
    assert study.tasks == ["A", "B"]
    assert study.methods == ["Vanilla", "CAMAL", "Blind"] and study.baseline == "Vanilla"
    assert [metric.label for metric in study.metrics] == ["IoU", "Return"]
    assert len(study.cells) == 18 and {cell.state for cell in study.cells} == {"finished"}
    cells = study.of("B", "CAMAL")
    assert [cell.run for cell in cells] == [1, 2, 3]
    assert [cell.summary["episode_return"].mean for cell in cells] == [50, 60, 70]
    assert study.references["random", "B"]["episode_return"].mean == 10
    assert study.problems == []


def test_tasks_are_the_product_of_the_keys_that_are_not_compared(tmp_path):
    grid = {"data": ["Pets", "Birds"], "backbone": ["resnet18"], "method": {"CE": {}, "CAMAL": {}}}
    (tmp_path / "study.yaml").write_text(json.dumps({"command": "x", "grid": grid, "folds": 3}))
    study = collect(tmp_path)
    assert study.tasks == ["Pets, resnet18", "Birds, resnet18"]
    assert study.methods == ["CE", "CAMAL"]
    assert study.run_name == "fold" and len(study.cells) == 2 * 2 * 3
    assert {cell.state for cell in study.cells} == {"pending"}


def test_another_metric_stands_in_where_one_is_missing(study_of):
    runs = {
        ("A", "Plain"): [{"accuracy": 0.5}],
        ("A", "VAPL"): [{"accuracy": 0.6, "prompted": 0.9}],
    }
    metrics = [{"name": "prompted", "otherwise": "accuracy"}, {"name": "accuracy"}]
    study = collect(study_of(runs, references=None, report={"metrics": metrics}))
    found = {cell.method: cell.summary["prompted"].mean for cell in study.cells}
    assert found == {"Plain": 0.5, "VAPL": 0.9}


def test_values_of_every_kind_find_their_folders(tmp_path):
    grid = {"camal": [0.1, 1, 10], "separate_clipping": [False, True]}
    (tmp_path / "study.yaml").write_text(json.dumps({"command": "x", "grid": grid, "seeds": [7]}))
    for name in ("0.1-False-s7", "10-true-s7"):
        (tmp_path / "cells" / name).mkdir(parents=True)
        (tmp_path / "cells" / name / "evaluation.json").write_text(
            '{"summary": {"iou": {"mean": 0.5, "low": 0.4, "high": 0.6}}}'
        )
    study = collect(tmp_path)
    done = {(cell.task, cell.method) for cell in study.cells if cell.state == "finished"}
    assert done == {("0.1", "false"), ("10", "true")}  # the last key is compared by default
    assert study.problems == []
    assert [metric.name for metric in study.metrics] == ["iou"]  # found, since none is declared


def test_what_is_broken_is_said_and_the_rest_stands(known):
    cells = known / "cells"
    (cells / "A-CAMAL-s1" / "evaluation.json").write_text('{"summary": {"iou": {"mean"')
    (cells / "A-CAMAL-s2" / "evaluation.json").unlink()
    (cells / "A-CAMAL-s3" / "evaluation.json").write_text("[]")
    (cells / "B-CAMAL-s1" / "evaluation.json").write_text('{"summary": {"iou": 3}}')
    (cells / "B-CAMAL-s2" / "evaluation.json").write_text(
        '{"summary": {"iou": {"mean": NaN, "low": NaN, "high": NaN}}}'
    )
    shutil.rmtree(cells / "B-Blind-s1")
    (cells / "stray").mkdir()
    (known / "references" / "random-B" / "evaluation.json").unlink()
    study = collect(known)
    text = "\n".join(study.problems)
    for part in (
        "A-CAMAL-s1/evaluation.json cannot be read",
        "A-CAMAL-s2 is finished but has no evaluation.json",
        "A-CAMAL-s3/evaluation.json holds a list",
        "B-CAMAL-s1/evaluation.json holds no mean, low and high of iou",
        "B-CAMAL-s2/evaluation.json: iou is nan: left out",
        "B-Blind-s1 is finished but has no evaluation.json",
        "stray is not a cell of this study",
        "reference random of B is missing",
    ):
        assert part in text
    assert len(study.cells) == 18
    assert len(study.of("A", "Vanilla")[0].summary) == 2


def test_states_and_logs_of_failed_and_unfinished_cells(known):
    states = json.loads((known / "state.json").read_text())
    states["A-CAMAL-s1"] = {"state": "failed", "attempts": 3, "message": "exit status 1"}
    states["A-CAMAL-s2"] = {"state": "running", "attempts": 1}
    states["A-CAMAL-s3"] = "nonsense"
    del states["B-CAMAL-s1"]
    (known / "state.json").write_text(json.dumps(states))
    (known / "cells" / "A-CAMAL-s1.log").write_text("".join(f"line {i}\n" for i in range(99)))
    study = collect(known)
    failed, running, unknown = study.of("A", "CAMAL")
    assert (failed.state, failed.attempts, failed.message) == ("failed", 3, "exit status 1")
    assert failed.summary == {}  # what a failed cell left does not count
    assert failed.log_tail().startswith("line 87") and failed.log_tail().endswith("line 98")
    assert running.state == "running" and running.summary == {} and running.log_tail() == ""
    assert unknown.state == "finished"  # by its evaluation, as state.json does not say
    assert study.of("B", "CAMAL")[0].state == "finished"


def test_a_truncated_state_file_is_said(known):
    (known / "state.json").write_text('{"A-CAMAL-s1": {"sta')
    study = collect(known)
    assert any("state.json cannot be read" in problem for problem in study.problems)
    assert len([cell for cell in study.cells if cell.state == "finished"]) == 18


BAD = {
    "": "has no study.yaml",
    "command: x\ngrid: [1, 2]": "must map keys to values",
    "command: x\ngrid: {env: Basic}": "must list values",
    "command: x\ngrid: {env: [A]}\nseeds: [one]": "whole numbers",
    "command: x\nsearch: {metric: iou, space: {lr: {choices: [1]}}}": "is a search",
    "command: x\nreport: {compare: method}": "unknown grid key in report.compare",
    "- a": "must hold",
}


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_study_is_refused_in_one_line(text, tmp_path):
    if text:
        (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(UserError, match=BAD[text]) as error:
        collect(tmp_path)
    assert "\n" not in str(error.value)
