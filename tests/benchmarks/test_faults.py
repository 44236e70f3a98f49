"""A row of the table of faults, on real runs."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "faults.py"


@pytest.mark.slow
def test_a_full_disk_costs_nothing_but_a_resume():
    flags = ["--only", "the disk is full", "--times", "1", "--updates", "2"]
    done = subprocess.run([sys.executable, SCRIPT, *flags], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("1 of 1") == 1 and not done.stderr
