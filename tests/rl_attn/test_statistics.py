"""Intervals by hand."""

import math

import pytest

from rl_attn.statistics import mean_interval


def test_mean_and_interval_by_hand():
    interval = mean_interval([1.0, 2.0, 3.0])  # s.d. 1, standard error 1/sqrt(3)
    assert interval.mean == 2.0
    assert interval.high - 2.0 == pytest.approx(1.96 / math.sqrt(3))
    assert 2.0 - interval.low == pytest.approx(1.96 / math.sqrt(3))


def test_unknown_values_are_left_out():
    assert mean_interval([1.0, float("nan"), 3.0]) == mean_interval([1.0, 3.0])


def test_one_value_has_no_interval_and_none_has_no_mean():
    one, none = mean_interval([4.0]), mean_interval([])
    assert one.mean == 4.0 and math.isnan(one.low) and math.isnan(one.high)
    assert math.isnan(none.mean)
