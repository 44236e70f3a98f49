"""A real table of one tiny cell, to be quick: run to the end, and interrupted and continued."""

import os
import shutil
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml
from processes import Command

from rl_attn.errors import UserError
from rl_attn.supervised import compare

TABLE = {
    "command": "supervised.train",
    "arguments": {
        **{
            "data": "digits",
            "backbone": "lenet",
            "epochs": 8,
            "batch_size": 64,
            "train_pictures": 320,
        },
        **{"device": "cpu", "threads": 1, "picture_interval": 0, "faithfulness": 1},
        "falsifier": True,
    },
    "grid": {"method": {"CAMAL": {"method": "camal"}}},
    "seeds": [1],
    "report": {
        **{"compare": "method", "paired": True},
        "metrics": [
            *({"name": "iou"}, {"name": "deletion_area", "better": "lower"}),
            {"name": "confidence_fall"},
        ],
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


def test_runs_and_report_of_what_they_measured(whole):
    (result,) = pd.read_csv(whole / "results.csv").to_dict("records")
    (report,) = pd.read_csv(whole / "report" / "tables" / "tasks_iou.csv").to_dict("records")
    assert report["method"] == result["method"] == "CAMAL"
    assert report["mean"] == pytest.approx(result["iou"]) and 0 < result["deletion_area"] < 1
    falls = pd.read_csv(whole / "report" / "tables" / "tasks_confidence_fall.csv")["mean"]
    assert falls.tolist() == [pytest.approx(result["confidence_fall"])]
    assert result["confidence_fall"] != 0  # nor is it much, so early
    (overhead,) = pd.read_csv(whole / "report" / "tables" / "overhead.csv").to_dict("records")
    assert overhead["seconds"] > 0 and overhead["overhead"] == 0


def test_dry_run_lists_and_report_only_reports_and_neither_runs(whole, table, capsys):
    before = (whole / "state.json").read_bytes()
    assert compare.main([str(table), "--out", str(whole), "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "--method=camal" in printed and "(finished)" in printed and "0 runs to do" in printed
    stored = whole / "report" / "tables" / "tasks_iou.csv"
    stored.unlink()
    assert compare.main([str(table), "--out", str(whole), "--report-only", "--no-figures"]) == 0
    assert stored.exists() and "report " in capsys.readouterr().out
    assert (whole / "state.json").read_bytes() == before


@pytest.mark.timeout(600)  # four starts of torch, on whatever else the machine does
def test_an_interrupted_table_goes_on_and_ends_the_same(whole, table):
    out = table.parent / "interrupted"
    out.mkdir()
    shutil.copy(whole / "study.yaml", out)  # as begun: its commands need no second look
    with Command("supervised.compare", table, "--out", out, "--no-figures") as process:
        rows = out / "cells" / "CAMAL-s1" / "metrics.csv"
        end = time.monotonic() + 300
        while not (rows.exists() and rows.read_text().count("\n") > 1):
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
        assert process.finish() == 128 + signal.SIGINT and "Traceback" not in process.output
    assert not (out / "report").exists()
    with pytest.raises(UserError, match="holds another study"):
        other = table.with_name("other.yaml")
        other.write_text(yaml.safe_dump({**TABLE, "seeds": [1, 2]}))
        compare.main([str(other), "--out", str(out)])
    assert compare.main([str(table), "--out", str(out), "--no-figures"]) == 0
    for name in ("results.csv", "report/tables/tasks_iou.csv", "report/tables/tasks_iou.tex"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()
