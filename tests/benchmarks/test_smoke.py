"""Every benchmark runs; those with tests of their own are tested there."""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
#: The least work that each takes, and what its table or its lines then say.
QUICK = {
    (
        *("supervised_epoch.py", "--steps=2", "--rounds=1", "--batch-size=8", "--threads=1"),
        *("--only", "supervised.train, a run on each core"),
    ): ("straightforward loop", "supervised.train, a run on each core"),
    ("supervised_epoch.py", "--seeds", "--steps=1", "--rounds=1", "--batch-size=8"): (
        "five runs in turn",
        "one batched model",
    ),
    ("methods.py", "--quick", "--only", "CAMAL + DrAC"): ("CAMAL + DrAC", "s / 1,000"),
    ("vapl_refinement.py", "--masks=20", "--loop-masks=2", "--size=64"): (
        "N = 20 in batches of 16",
        "one mask at a time",
    ),
}
#: Modules that no one runs, and the benchmarks that run them.
PARTS = {"contest", "machine", "workload", "classifiers", "stepping", "training"}
PARTS |= {"attribution_steps", "agents_grid"}


@pytest.mark.slow
@pytest.mark.parametrize("command", QUICK, ids=" ".join)
def test_it_measures(command):
    script, *flags = command
    ended = subprocess.run(
        [sys.executable, str(FOLDER / script), *flags], capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    for words in QUICK[command]:
        assert words in ended.stdout


def test_every_benchmark_has_a_test():
    tested = {Path(script).stem for script, *_ in QUICK}
    tested |= {file.stem.removeprefix("test_") for file in Path(__file__).parent.glob("test_*.py")}
    assert {file.stem for file in FOLDER.glob("*.py")} - PARTS <= tested
