"""The report command, from the flags to the files."""

import csv
import json
import shutil
import subprocess
import sys

import pytest

from rl_attn import report
from rl_attn.errors import UserError

TABLES = {
    *("answer", "tasks_iou", "tasks_episode_return", "tasks_episode_return_normalised"),
    *("areas_iou", "areas_episode_return"),
    *("aggregates", "improvement", "runs", "versions", "configuration"),
}


def run(folder, *flags):
    assert report.main([str(folder), "--resamples", "500", *flags]) == 0


def rows(file):
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_it_leaves_tables_figures_and_a_page(reported):
    out = reported / "report"
    for kind in ("csv", "md", "tex"):
        assert {file.stem for file in (out / "tables").glob(f"*.{kind}")} == TABLES
    figures = {file.stem for file in (out / "figures").glob("*.png")}
    assert figures == {file.stem for file in (out / "figures").glob("*.pdf")}
    kinds = ("comparison", "tasks", "aggregates", "profile", "curves")
    assert figures == {f"{kind}_{name}" for kind in kinds for name in ("iou", "episode_return")}
    assert (out / "index.html").stat().st_size > 50_000
    assert not [file for file in out.rglob(".*")]  # nothing half-written is left


def test_the_verdicts_are_in_the_table_and_on_the_page(reported):
    found = {
        (row["metric"], row["method"]): row["verdict"]
        for row in rows(reported / "report" / "tables" / "improvement.csv")
        if row["task"] == "all tasks"
    }
    assert found == {
        ("iou", "CAMAL"): "better",
        ("iou", "Blind"): "worse",
        ("episode_return", "CAMAL"): "undecided",
        ("episode_return", "Blind"): "worse",
    }
    page = (reported / "report" / "index.html").read_text()
    for words in ("CAMAL: better", "CAMAL: undecided", "Blind: worse"):
        assert words in page
    assert "0 is the mean of random, 1 the best mean of any method here" in page
    assert "2 runs a task" in page and "2 methods are compared with Vanilla" in page
    assert "17 of 18 runs are finished" in page and "B-Blind-s3</code> failed" in page


def test_normalised_and_raw_stand_beside_each_other(reported):
    tables = reported / "report" / "tables"
    raw, scaled = (
        {(row["task"], row["method"]): float(row["mean"]) for row in rows(tables / f"{name}.csv")}
        for name in ("tasks_episode_return", "tasks_episode_return_normalised")
    )
    assert raw["A", "Vanilla"] == 12 and scaled["A", "Vanilla"] == 0.5
    assert raw["B", "Vanilla"] == 110 and scaled["B", "Vanilla"] == 1
    held = "hold the two means that count as 0 and 1 fixed"
    for name in ("tasks_episode_return_normalised", "aggregates"):
        assert held in (tables / f"{name}.md").read_text()
    assert held not in (tables / "tasks_episode_return.md").read_text()
    scales = {(row["metric"], row["scale"]) for row in rows(tables / "aggregates.csv")}
    assert scales == {("iou", "raw"), ("episode_return", "raw"), ("episode_return", "normalised")}


def test_the_same_study_gives_the_same_bytes_and_another_seed_does_not(reported, tmp_path):
    run(reported, "--out", str(tmp_path / "again"), "--no-figures")
    run(reported, "--out", str(tmp_path / "other"), "--no-figures", "--seed", "1")
    first = {file.name: file.read_bytes() for file in (reported / "report" / "tables").iterdir()}
    again, other = (
        {name: (tmp_path / out / "tables" / name).read_bytes() for name in first}
        for out in ("again", "other")
    )
    assert again == first
    changed = {name for name in first if other[name] != first[name]}
    assert "aggregates.csv" in changed and "tasks_iou.csv" not in changed


def test_a_broken_and_unfinished_study_gives_a_report_that_says_so(known, capsys):
    cells = known / "cells"
    states = json.loads((known / "state.json").read_text())
    states["A-CAMAL-s1"] = {"state": "failed", "attempts": 3, "message": "<b>status 1</b>"}
    states["A-CAMAL-s2"] = {"state": "running", "attempts": 1}
    del states["B-CAMAL-s1"]
    (known / "state.json").write_text(json.dumps(states))
    (cells / "A-CAMAL-s1.log").write_text("Traceback\n</pre><script>alert(1)</script>\n")
    shutil.rmtree(cells / "B-CAMAL-s1")
    (cells / "B-CAMAL-s2" / "evaluation.json").unlink()
    (cells / "B-Blind-s1" / "evaluation.json").write_text('{"summary": {"iou": {"mean": NaN')
    (cells / "B-Blind-s2" / "metrics.csv").write_text("global_step,attention/iou\n1,0.")
    (cells / "A-Blind-s1" / "metrics.csv").write_text("nothing")
    (cells / "A-Blind-s2" / "config.yaml").write_text("{")
    (cells / "A-Blind-s2" / "versions.json").write_text('{"torch": "1.0"}')
    shutil.rmtree(known / "references")
    run(known, "--metrics", "iou")  # figures are drawn of what is left
    assert (known / "report" / "figures" / "comparison_iou.pdf").is_file()
    run(known, "--no-figures")
    page = (known / "report" / "index.html").read_text()
    for part in (
        "This study is not complete",
        "15 of 18 runs are finished",
        "A-CAMAL-s1</code> failed: &lt;b&gt;status 1&lt;/b&gt;",
        "&lt;/pre&gt;&lt;script&gt;alert(1)&lt;/script&gt;",
        "A-CAMAL-s2</code> running",
        "B-CAMAL-s1</code> pending",
        "B-CAMAL-s2 is finished but has no evaluation.json",
        "B-Blind-s1/evaluation.json cannot be read",
        "A-Blind-s1/metrics.csv cannot be read",
        "Return on A is not normalised: no reference",
        "the runs differ in torch: 2.15.0, 1.0",
        "1 run a task",
    ):
        assert part in page, part
    assert "<script>alert" not in page
    assert "note: B-CAMAL-s2 is finished" in capsys.readouterr().out


def test_a_study_of_which_nothing_is_finished_says_that(known):
    shutil.rmtree(known / "cells")
    (known / "state.json").unlink()
    run(known, "--no-figures")
    page = (known / "report" / "index.html").read_text()
    assert "there is nothing to compare" in page and "18 pending" in page
    assert len(rows(known / "report" / "tables" / "runs.csv")) == 18


def test_one_method_and_one_seed(study_of):
    folder = study_of({("A", "only"): [{"iou": 0.5}]})
    run(folder)
    tables = folder / "report" / "tables"
    assert not (tables / "improvement.csv").exists()
    (mean,) = [r for r in rows(tables / "aggregates.csv") if r["aggregate"] == "mean"][:1]
    assert mean["value"] == "0.5" and mean["low"] == ""
    assert not list((folder / "report" / "figures").glob("comparison*"))


@pytest.mark.parametrize("runs", [3, 4])
def test_it_says_where_the_iqm_trims_nothing(runs, study_of):
    values = {("A", method): [{"iou": float(i**2)} for i in range(runs)] for method in "xy"}
    folder = study_of(values)
    run(folder, "--no-figures")
    tables = folder / "report" / "tables"
    found = {row["aggregate"]: row["value"] for row in rows(tables / "aggregates.csv")}
    said = "the IQM is their mean" in (tables / "aggregates.md").read_text()
    assert said == (found["iqm"] == found["mean"]) == (runs < 4)


def test_folds_give_standard_deviations_and_wilcoxon(study_of):
    plain = [0.5, 0.52, 0.54, 0.56, 0.58, 0.6]
    values = {("A", "CE"): plain, ("A", "CAMAL"): [v + 0.01 * i for i, v in enumerate(plain, 1)]}
    folder = study_of(
        {key: [{"accuracy": v} for v in column] for key, column in values.items()},
        command="supervised.train",
        folds=6,
        references=[],
        report={"compare": "method", "metrics": [{"name": "accuracy", "label": "Accuracy"}]},
    )
    run(folder)
    tables = folder / "report" / "tables"
    found = {row["method"]: row for row in rows(tables / "tasks_accuracy.csv")}
    assert float(found["CAMAL"]["p_value"]) == 1 / 64 and found["CAMAL"]["mark"] == "bold"
    assert r"\textbf{0.585 $\pm$ 0.056}" in (tables / "tasks_accuracy.tex").read_text()
    (tested,) = rows(tables / "tests_accuracy.csv")  # 0.01 to 0.06 of six folds, four trained on
    t = 0.035 / ((1 / 6 + 1 / 4) * 0.00035) ** 0.5
    assert float(tested["corrected_t"]) == pytest.approx(t)
    assert not (tables / "aggregates.csv").exists()  # folds are no seeds


CEILING = {"name": "ceiling", "label": "Ceiling", "better": "neither", "reference": "random"}


@pytest.mark.parametrize("runs", [{}, {"folds": 2}], ids=["seeds", "folds"])
def test_what_is_neither_better_is_shown_and_not_compared(runs, study_of):
    values = {
        ("A", "Vanilla"): [{"iou": 0.1, "ceiling": 0.4}, {"iou": 0.2, "ceiling": 0.4}],
        ("A", "CAMAL"): [{"iou": 0.3, "ceiling": 0.5}, {"iou": 0.4, "ceiling": 0.5}],
    }
    declared = {"report": {"compare": "method", "metrics": [{"name": "iou"}, CEILING]}, **runs}
    folder = study_of(values, {"A": {"ceiling": 0.33}}, **declared)
    run(folder, "--no-figures")
    tables = folder / "report" / "tables"
    shown = (tables / "tasks_ceiling.md").read_text()
    assert "0.400" in shown and "0.500" in shown and "Bold" not in shown
    assert {row["ceiling"] for row in rows(tables / "runs.csv")} == {"0.4", "0.5"}
    if not runs:
        assert "0.33" in shown  # the reference's, beside
        assert {row["metric"] for row in rows(tables / "aggregates.csv")} == {"iou"}
        assert {row["metric"] for row in rows(tables / "improvement.csv")} == {"iou"}
        assert not list(tables.glob("*normalised*"))
    run(folder, "--no-figures", "--metrics", "ceiling")  # nothing is left to compare


def test_metrics_can_be_chosen_and_those_not_declared_too(reported, tmp_path):
    run(reported, "--metrics", "iou", "--out", str(tmp_path), "--no-figures")
    names = {file.stem for file in (tmp_path / "tables").glob("tasks*.csv")}
    assert names == {"tasks_iou"}


def test_a_video_goes_with_the_report_and_stands_behind_the_answer(known, tmp_path):
    (known / "cells" / "A-CAMAL-s2" / "evaluation.mp4").write_bytes(b"video")
    out = tmp_path / "far" / "away"
    run(known, "--out", str(out), "--no-figures")
    page = (out / "index.html").read_text()
    assert 'src="videos/A-CAMAL-s2.mp4"' in page
    assert (out / "videos" / "A-CAMAL-s2.mp4").read_bytes() == b"video"
    places = [page.index(f'id="{part}"') for part in ("answer", "videos", "notes", "comparison")]
    assert places == sorted(places)


def test_the_answer_has_every_metric_of_every_method_the_best_in_bold(reported):
    text = (reported / "report" / "tables" / "answer.md").read_text()
    lines = [line.split(" | ") for line in text.splitlines() if line.startswith("| A")]
    assert [line[1] for line in lines] == ["Vanilla", "CAMAL", "Blind"]
    assert [line[2].startswith("**") for line in lines] == [False, True, False]
    assert "0.320" in lines[1][2] and "22.0" in lines[1][3]


def test_one_run_is_one_run(study_of):
    folder = study_of({("A", "Vanilla"): [{"iou": 0.1}]}, seeds=[1])
    run(folder, "--no-figures")
    page = (folder / "report" / "index.html").read_text()
    assert "1 task, 1 method (Vanilla), 1 run." in page and "1 runs" not in page


BAD = {
    "nowhere": "does not exist",
    "STUDY --resamples 0": "--resamples",
    "STUDY --frames 0": "--frames",
    "STUDY --seed -1": "--seed",
    "STUDY --smoothing 1.5": "--smoothing",
    "STUDY --metrics accuracy": "unknown metric 'accuracy'",
    "STUDY/cells": "no study.yaml",
    "STUDY --out STUDY/study.yaml": "cannot be made",
}


@pytest.mark.parametrize("flags", BAD)
def test_bad_input_ends_with_one_clear_line(flags, reported):
    with pytest.raises(UserError, match=BAD[flags]) as error:
        report.main([*flags.replace("STUDY", str(reported)).split(), "--no-figures"])
    assert "\n" not in str(error.value)


def test_neither_torch_nor_games_are_loaded_where_no_agent_is_drawn():
    code = (
        "import sys; from rl_attn import report; from rl_attn.reports import gallery; "
        "assert not {'torch', 'vizdoom'} & set(sys.modules), 'loaded'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
