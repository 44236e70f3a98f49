import math

import pytest

from rl_attn.supervised.comparison.overhead import epoch_times, overhead_table


def test_medians_of_epochs_beside_the_baseline(two_methods):
    found = epoch_times(two_methods.read()).set_index("method")
    assert found.loc["Vanilla", "seconds"] == 2 and found.loc["CAMAL", "seconds"] == 4
    assert found.loc["CAMAL", "overhead"] == pytest.approx(100) and found.loc["CAMAL", "runs"] == 2
    assert "| all | CAMAL | 4.00 | +100.0 |" in overhead_table(two_methods.read()).markdown()


def test_without_times_there_is_no_overhead(folder):
    folder.declare(grid={"method": ["Vanilla", "CAMAL"]}, seeds=[1])
    folder.cell("CAMAL-s1", {"iou": 0.5}, times=(1.0,))
    found = epoch_times(folder.read()).set_index("method")
    assert math.isnan(found.loc["CAMAL", "overhead"]) and found.loc["Vanilla", "runs"] == 0
    assert "| all | CAMAL | 1.000 | - |" in overhead_table(folder.read()).markdown()
