import numpy as np
import pytest

from rl_attn.supervised.comparison.variance import _row, merged, variance_plates


def test_merged_moments_are_those_of_all_pictures_together():
    maps = np.random.default_rng(0).random((30, 4, 5))
    parts = [maps[:7], maps[7:8], maps[8:]]
    count, mean, variance = merged([(len(p), p.mean(0), p.var(0)) for p in parts])
    assert count == 30
    assert mean == pytest.approx(maps.mean(0)) and variance == pytest.approx(maps.var(0))


def test_masks_stand_first_and_folds_are_merged(two_methods):
    row = _row(two_methods.read(), "all")
    assert list(row) == ["masks", "Vanilla", "CAMAL"]
    assert row["Vanilla"] == pytest.approx(np.full((6, 6), 0.25**2))
    assert row["masks"] == pytest.approx(np.full((6, 6), 0.25))


def test_damaged_arrays_are_named_and_left_out(two_methods):
    for fold in range(3):
        file = two_methods.path / "cells" / f"Vanilla-f{fold}" / "attention" / "variance.npz"
        file.write_bytes(file.read_bytes()[:100] if fold else b"")
    study = two_methods.read()
    assert list(_row(study, "all")) == ["masks", "CAMAL"]
    assert sum("variance.npz cannot be read" in problem for problem in study.problems) == 3


def test_nothing_left_no_figure(folder):
    folder.declare(grid={"method": ["Vanilla"]}, seeds=[1])
    folder.cell("Vanilla-s1", {"iou": 0.5})
    assert variance_plates(folder.read()) == []
