"""Real tables of two tiny cells: run to the end, and interrupted and continued."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

from rl_attn.cli import UserError
from supervised import compare

TABLE = {
    "command": "supervised.train",
    "arguments": {
        **{"data": "digits", "backbone": "lenet", "epochs": 3, "batch_size": 64},
        **{"device": "cpu", "threads": 1, "picture_interval": 0, "faithfulness": 1},
    },
    "grid": {"method": {"Vanilla": {"method": "vanilla"}, "CAMAL": {"method": "camal"}}},
    "seeds": [1],
    "report": {
        **{"compare": "method", "paired": True},
        "metrics": [{"name": "iou"}, {"name": "deletion_area", "better": "lower"}],
    },
    "steps": "epochs",
}


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("tables") / "tiny.yaml"
    file.write_text(yaml.safe_dump(TABLE, sort_keys=False))
    return file


@pytest.fixture(scope="module")
def whole(table) -> Path:
    """The table, run to its end without interruption."""
    out = table.parent / "whole"
    assert compare.main([str(table), "--out", str(out), "--no-figures"]) == 0
    return out


def test_dry_run_starts_nothing(table, capsys):
    out = table.parent / "dry"
    assert compare.main([str(table), "--out", str(out), "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "--method=camal" in printed and "2 runs to do" in printed
    assert not out.exists()


def test_runs_and_report_of_what_they_measured(whole):
    results = pd.read_csv(whole / "results.csv").set_index("method")
    report = pd.read_csv(whole / "report" / "tables" / "tasks_iou.csv").set_index("method")
    for method in ("Vanilla", "CAMAL"):
        assert report.loc[method, "mean"] == pytest.approx(results.loc[method, "iou"])
        assert 0 < results.loc[method, "deletion_area"] < 1
    assert results.loc["CAMAL", "iou"] > results.loc["Vanilla", "iou"]
    overhead = pd.read_csv(whole / "report" / "tables" / "overhead.csv").set_index("method")
    assert (overhead["seconds"] > 0).all() and overhead.loc["Vanilla", "overhead"] == 0


def test_report_only_draws_what_a_finished_folder_holds(whole, table, capsys):
    stored = (whole / "report" / "tables" / "tasks_iou.csv").read_bytes()
    assert compare.main([str(table), "--out", str(whole), "--report-only"]) == 0
    assert (whole / "report" / "tables" / "tasks_iou.csv").read_bytes() == stored
    figures = {file.stem for file in (whole / "report" / "figures").glob("*.pdf")}
    assert {"faithfulness", "variance", "examples_0", "tasks_iou"} <= figures
    assert "report: " in capsys.readouterr().out


def test_an_interrupted_table_goes_on_and_ends_the_same(whole, table):
    out = table.parent / "interrupted"
    command = [sys.executable, "-m", "supervised.compare", str(table), "--out", str(out)]
    with subprocess.Popen(
        [*command, "--no-figures"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        rows = out / "cells" / "Vanilla-s1" / "metrics.csv"
        end = time.monotonic() + 120
        while not (rows.exists() and rows.read_text().count("\n") > 1):
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT and "Traceback" not in output
    assert not (out / "report").exists()
    with pytest.raises(UserError, match="holds another study"):
        other = table.with_name("other.yaml")
        other.write_text(yaml.safe_dump({**TABLE, "seeds": [1, 2]}))
        compare.main([str(other), "--out", str(out)])
    assert compare.main([str(table), "--out", str(out), "--no-figures"]) == 0
    for name in ("results.csv", "report/tables/tasks_iou.csv", "report/tables/tasks_iou.tex"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()
