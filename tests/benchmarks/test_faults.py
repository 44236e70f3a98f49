"""The quick half of the fault table, on real runs."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "faults.py"


@pytest.mark.slow
@pytest.mark.timeout(1200)  # seven starts of torch, on whatever else the machine does
def test_a_killed_write_a_full_disk_and_a_closed_pipe_cost_nothing():
    done = subprocess.run([sys.executable, SCRIPT, "--quick"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("1 of 1") == 3 and not done.stderr
