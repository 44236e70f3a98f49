"""Studies from start to end: results, failures and retries, what is refused, what is shown."""

import io
import json

import pytest
from rich.console import Console

from rl_attn.errors import NOT_FINITE, USERS_MISTAKE, UserError
from rl_attn.studies.estimate import clock, seconds_left
from rl_attn.studies.live import View
from rl_attn.studies.plan import cells
from rl_attn.studies.record import Record
from rl_attn.studies.schema import read_study

FLOOR = {
    "name": "floor",
    "per": ["gain"],
    "command": "quick_evaluate",
    "arguments": {"out": "{out}"},
}


def value_after(steps: int, gain: float, seed: int) -> float:
    value = 0.1 + seed / 1000
    for _ in range(steps):
        value = gain * value * (1 - value)
    return value


def test_a_study_leaves_results_states_and_references(lab, capsys):
    lab.write(references=[FLOOR])
    assert lab.run("--workers", "2") == 0
    rows = lab.results()
    assert [row["cell"] for row in rows] == ["3.7-s1", "3.7-s2", "3.9-s1", "3.9-s2"]
    assert list(rows[0]) == ["cell", "gain", "seed", "value", "undefined"]
    for row in rows:
        assert float(row["value"]) == value_after(20, float(row["gain"]), int(row["seed"]))
        assert row["undefined"] == ""
    states = lab.states()
    assert list(states) == [row["cell"] for row in rows]
    for entry in states.values():
        assert entry["state"] == "finished" and entry["attempts"] == 1 and entry["seconds"] > 0
    floor = json.loads((lab.out / "references" / "floor-3.9" / "evaluation.json").read_text())
    assert floor["summary"]["value"]["mean"] == 3.9
    assert "6 finished" in capsys.readouterr().out


def test_started_again_nothing_is_run_twice_and_a_missing_run_is_made(lab, capsys):
    lab.write(grid=None, references=[{**FLOOR, "per": []}])
    assert lab.run("--first", "1") == 0
    assert {name: entry["state"] for name, entry in lab.states().items()} == {
        **{"s1": "finished", "s2": "later"}
    }
    assert "2 finished, 1 later" in capsys.readouterr().out
    assert lab.run() == 0
    before = (lab.out / "results.csv").read_bytes()
    for file in (lab.out / "cells" / "s2").iterdir():
        file.unlink()
    assert lab.run() == 0
    assert lab.starts("s1") == [0] and lab.starts("s2") == [0]
    assert {name: entry["attempts"] for name, entry in lab.states().items()} == {"s1": 1, "s2": 2}
    assert (lab.out / "results.csv").read_bytes() == before
    assert lab.run("--first", "1") == 0  # what is finished stays in the results
    assert (lab.out / "results.csv").read_bytes() == before


def test_a_failed_run_is_resumed_and_does_not_change_the_results(lab):
    fails = {"total_timesteps": 20, "fail_at": 12, "failures": 2}
    lab.write(arguments=fails, grid=None, seeds=[1])
    assert lab.run() == 0
    assert lab.starts() == [0, 10, 10], "not from its checkpoint"
    assert lab.states()["s1"]["attempts"] == 3
    assert float(lab.results()[0]["value"]) == value_after(20, 3.7, 1)


def test_a_run_that_keeps_failing_stops_no_other_and_is_reported(lab, capsys):
    grid = {"method": {"bad": {"fail_at": 3, "failures": 9}, "good": {}}}
    lab.write(grid=grid, seeds=[1])
    assert lab.run("--retries", "1") == 1
    states = lab.states()
    assert states["bad-s1"]["state"] == "failed" and states["good-s1"]["state"] == "finished"
    assert states["bad-s1"]["attempts"] == 2 == len(lab.starts("bad-s1"))
    assert "ended with status 1: error: failing as told at 3" in states["bad-s1"]["message"]
    output = capsys.readouterr().out
    assert "bad-s1 failed after 2 attempts" in output
    assert "    error: failing as told at 3" in output, "the end of its log is not shown"
    assert [row["cell"] for row in lab.results()] == ["good-s1"]
    assert lab.run("--retries", "0") == 1
    assert lab.states()["bad-s1"]["attempts"] == 3, "started again, it is tried again"


def test_what_follows_a_run_is_tried_again_without_the_run(lab):
    lab.write(grid=None, seeds=[1], then=[{"command": "quick_evaluate", "positional": ["x{run}"]}])
    assert lab.run("--retries", "1") == 1
    assert "quick_evaluate ended with status 1" in lab.states()["s1"]["message"]
    assert lab.starts() == [0, 20]


@pytest.mark.parametrize("status", [USERS_MISTAKE, NOT_FINITE])
def test_what_trying_again_would_not_mend_is_not_tried_again(lab, status):
    grid = {"method": {"bad": {"fail_at": 3, "failures": 9, "fail_with": status}, "good": {}}}
    lab.write(grid=grid, seeds=[1])
    assert lab.run() == 1
    assert lab.states()["bad-s1"]["attempts"] == 1 == len(lab.starts("bad-s1"))
    assert lab.states()["good-s1"]["state"] == "finished"


# ---------------------------------------------------------------------- nothing is lost


@pytest.mark.parametrize("name", ["..", ".", "...", "/", "-", "é", ".hidden", "x" * 300])
def test_names_that_are_no_folders_remove_nothing(lab, name):
    reference = {"name": name, "command": "quick_evaluate", "arguments": {"out": "{out}"}}
    precious = lab.out / "precious" / "notes.txt"
    for place in (precious, lab.out / "references" / "mine.txt"):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("mine")
    for changes in ({"references": [reference]}, {"grid": {"m": {name: {}}}}):
        lab.write(**changes)
        with pytest.raises(UserError, match=r"folder"):
            lab.run()
    assert sorted(path.name for path in lab.out.rglob("*.txt")) == ["mine.txt", "notes.txt"]
    assert not (lab.out / "study.yaml").exists()


@pytest.mark.parametrize("name", ["cells/s1", "references/floor"])
def test_a_folder_that_the_study_did_not_make_is_left_alone(lab, name):
    reference = {"name": "floor", "command": "quick_evaluate", "positional": ["{out}"]}
    lab.write(grid=None, seeds=[1], references=[reference])
    mine = lab.out / name / "notes.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(UserError, match="was not made by this study"):
        lab.run()
    assert mine.read_text() == "mine" and not (lab.out / "study.yaml").exists()


def test_what_a_killed_start_left_is_made_again(lab):
    lab.write(grid=None, seeds=[1])
    assert lab.run() == 0
    (lab.out / "cells" / "s1" / "config.yaml").unlink()
    assert lab.run() == 0
    assert lab.starts("s1") == [0]


# ---------------------------------------------------------------------- refused before a start


BAD_RUNS = {
    "a flag": ({"arguments": {"total_timestep": 3}}, ("total-timestep", "quick_run")),
    "a value": ({"arguments": {"total_timesteps": "many"}}, ("many", "total-timesteps")),
    "a label's flag": ({"grid": {"method": {"A": {"blod": True}}}}, ("blod", "quick_run")),
    "a command": ({"command": "quick_walk"}, ("quick_walk", "imported")),
    "a flag by --help": (
        {"then": [{"command": "quick_evaluate", "arguments": {"gian": 3}}]},
        ("'--gian'", "--gain"),
    ),
    "a setting": ({"grid": {"gain": [3.7, 4.1]}}, ("gain", "4.1", "quick_run")),
    "a search's flag": (
        {"search": {"metric": "value", "space": {"pauze": {"low": 0, "high": 1}}}},
        ("pauze",),
    ),
}


@pytest.mark.parametrize("what", BAD_RUNS)
def test_commands_and_flags_are_looked_at_before_any_run(lab, what):
    changes, parts = BAD_RUNS[what]
    lab.write(**changes)
    with pytest.raises(UserError) as error:
        lab.run()
    assert "\n" not in str(error.value)
    for part in parts:
        assert part in str(error.value)
    assert not lab.out.exists()


BAD_FLAGS = {
    "--workers 0": ("--workers", "0"),
    "--retries -1": ("--retries", "-1"),
    "--gpus-per-run -1": ("--gpus-per-run", "-1"),
    "--cpus-per-run 0": ("--cpus-per-run", "0"),
}


@pytest.mark.parametrize("flags", BAD_FLAGS)
def test_bad_flags_are_refused(lab, flags):
    with pytest.raises(UserError) as error:
        lab.run(*flags.replace(" -", "=-").split())
    for part in BAD_FLAGS[flags]:
        assert part in str(error.value)


def test_a_changed_study_is_refused_and_its_runs_are_left_alone(lab):
    lab.write(grid=None, seeds=[1])
    assert lab.run() == 0
    lab.write(grid=None, seeds=[1], arguments={"total_timesteps": 30})
    with pytest.raises(UserError, match=r"another study(.|\n)*\+  total_timesteps: 30"):
        lab.run()
    assert lab.starts() == [0]


# ---------------------------------------------------------------------- shown


def test_a_dry_run_lists_commands_and_starts_nothing(lab, capsys):
    lab.write(references=[FLOOR])
    assert lab.run("--dry-run") == 0
    output = capsys.readouterr().out
    assert f"python -m quick_run --run-dir {lab.out}/cells/3.9-s2 --total-timesteps=20" in output
    assert f"python -m quick_evaluate --gain=3.9 --out={lab.out}/references/floor-3.9" in output
    assert "6 runs to do; no speed is known" in output
    assert not lab.out.exists()


def prepared(lab) -> Record:
    """Two gains, two seeds, 100 steps each: one finished in 50 s, one at step 40 after 10 s."""
    lab.write(arguments={"total_timesteps": 100}, watch=["quick/value"])
    jobs = cells(read_study(lab.file), lab.out)
    rows = {jobs[0].name: 100, jobs[2].name: 40}
    seconds = {jobs[0].name: 50.0, jobs[2].name: 10.0}
    states = {}
    for job in jobs:
        done = rows.get(job.name, 0)
        if done:
            job.folder.mkdir(parents=True)
            (job.folder / "config.yaml").write_text("total_timesteps: 100\n")
            (job.folder / "metrics.csv").write_text(f"global_step,quick/value\n{done},0.5\n{done}")
        state = "finished" if done == 100 else "pending"
        states[job.name] = {"state": state, "attempts": min(done, 1),
                            "seconds": seconds.get(job.name, 0.0), "message": ""}  # fmt: skip
    (lab.out / "state.json").write_text(json.dumps(states))
    record = Record(lab.out)
    record.add(jobs)
    return record


def test_the_time_left_by_hand(lab, capsys):
    """3.7: 0.5 s a step, 100 steps left. 3.9: 0.25 s a step, 60 + 100 steps left. 90 s."""
    record = prepared(lab)
    assert seconds_left(record, "total_timesteps", 1) == pytest.approx(90)
    assert seconds_left(record, "total_timesteps", 2) == pytest.approx(45)
    assert lab.run("--dry-run", "--workers", "2") == 0
    assert "3 runs to do, about 00:00:45 with 2 at once" in capsys.readouterr().out
    assert clock(2 * 86_400 + 3_723) == "2 d 01:02:03"


def test_a_studys_pace_counts_where_no_run_has_told(lab, capsys):
    """Four runs of 20 steps: 2 * 20 / 4 + 2 * 20 / 8 = 15 s; of 40 at 2 steps a second: 40 s."""
    lab.write(pace={"gain": {"3.7": 4, "3.9": 8}})
    assert lab.run("--dry-run") == 0
    assert "4 runs to do, about 00:00:15 with 1 at once" in capsys.readouterr().out
    lab.write(pace=2)
    assert lab.run("--dry-run") == 0
    assert "4 runs to do, about 00:00:40 with 1 at once" in capsys.readouterr().out
    # Runs that have told are believed: as above.
    assert seconds_left(prepared(lab), "total_timesteps", 1, ("", {"": 2.0})) == pytest.approx(90)


@pytest.mark.parametrize(
    ("pace", "reason"),
    [
        ({"gian": {"3.7": 1}}, "did you mean gain"),
        ({"gain": {"3.8": 1}}, "label in pace"),
        (0, "above 0, got 0"),
        ({"gain": {"3.7": 1}, "b": {}}, "must be a number, or one grid key"),
    ],
)
def test_a_pace_that_says_nothing_is_refused(lab, pace, reason):
    lab.write(pace=pace)
    with pytest.raises(UserError, match=reason):
        lab.run("--dry-run")


def test_lines_keep_the_speed_while_a_run_is_evaluated(lab, monkeypatch, capsys):
    record = prepared(lab)
    record.entries["3.9-s1"].state = "running"
    job, study = record.jobs["3.9-s1"], read_study(lab.file)
    view, times = View(record, study, at_once=1), iter(range(0, 1000, 100))
    monkeypatch.setattr("rl_attn.studies.live.time.monotonic", lambda: next(times))
    for step in (40, 45, 100, 100):
        (job.folder / "metrics.csv").write_text(f"global_step,quick/value\n{step},0.51234\n")
        print(view._in_words(job))
    lines = capsys.readouterr().out.splitlines()
    assert "/s" not in lines[0] and lines[1].startswith("45/100  1 in 20 s  00:18:20")
    assert lines[2] == lines[3] == "100/100  0.3/s  finishing  value 0.512"


def test_the_table_shows_states_progress_and_metrics(lab):
    record = prepared(lab)
    record.entries["3.9-s1"].state = "running"
    view = View(record, read_study(lab.file), at_once=1)
    console = Console(width=120, record=True, file=io.StringIO(), markup=False)
    console.print(view.table())
    text = console.export_text()
    lines = {line.split()[1]: line.split() for line in text.splitlines() if "│" in line}
    assert "1 running, 2 pending, 1 finished, about 00:01:30 left" in text
    assert {"finished", "100/100", "0.5"} <= set(lines["3.7-s1"])
    assert {"running", "40/100", "0.5"} <= set(lines["3.9-s1"])
    assert "pending" in lines["3.9-s2"]
