from rl_attn.supervised.comparison.examples import example_plates

from .conftest import sample, save


def titles(study) -> list[str]:
    return [plate.title for plate in example_plates(study)]


def test_methods_on_the_same_pictures_stand_side_by_side(two_methods):
    assert titles(two_methods.read()) == ["Attention: Vanilla, CAMAL"]


def test_methods_on_other_pictures_stand_by_themselves(two_methods):
    save(two_methods.path / "cells" / "CAMAL-f0", "sample", **sample(100, 0.5))
    assert titles(two_methods.read()) == ["Attention: Vanilla", "Attention: CAMAL"]


def test_the_next_run_stands_in_for_one_that_left_nothing(two_methods):
    (two_methods.path / "cells" / "CAMAL-f0" / "attention" / "sample.npz").unlink()
    assert titles(two_methods.read()) == ["Attention: Vanilla, CAMAL"]
