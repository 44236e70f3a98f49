"""A row of the table of faults, on real runs."""

import pytest


@pytest.mark.slow
def test_a_full_disk_costs_nothing_but_a_resume(benchmark, capsys):
    flags = ["--only", "the disk is full", "--times", "1", "--updates", "2"]
    assert benchmark("faults").main(flags) == 0
    said = capsys.readouterr()
    assert said.out.count("1 of 1") == 1 and not said.err
