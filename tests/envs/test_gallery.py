"""Monsters on Freedoom's maps: exact masks, and the same pictures for the same seed."""

import numpy as np
import pytest

from envs.gallery import Gallery, spots
from envs.game import GameFault


@pytest.fixture(scope="module")
def shots():
    with Gallery("map01") as gallery:
        return list(gallery.shots("Cacodemon", 3, seed=1))


def test_the_mask_is_where_the_monster_is(shots):
    for shot in shots:
        assert shot.picture.shape == (120, 160, 3) and shot.picture.dtype == np.uint8
        assert shot.mask.shape == (120, 160) and set(np.unique(shot.mask)) == {0, 1}
        assert 0.01 <= shot.mask.mean() <= 0.5
    assert not np.array_equal(shots[0].picture, shots[1].picture)


def test_the_same_seed_gives_the_same_pictures(shots):
    with Gallery("map01") as gallery:
        for first, again in zip(shots, gallery.shots("Cacodemon", 2, seed=1), strict=False):
            assert np.array_equal(first.picture, again.picture)
            assert np.array_equal(first.mask, again.mask)
            assert np.array_equal(first.place, again.place)
        other = next(gallery.shots("Cacodemon", 1, seed=2))
    assert not np.array_equal(other.picture, shots[0].picture)


def test_what_cannot_be_shown_is_said(monkeypatch):
    monkeypatch.setattr("envs.gallery._ATTEMPTS", 5)
    with pytest.raises(ValueError, match="no 'map33'"):
        Gallery("map33")
    with Gallery("map01") as gallery, pytest.raises(GameFault, match="NoSuchMonster did not come"):
        next(gallery.shots("NoSuchMonster", 1, seed=0))


def test_spots_are_the_things_of_the_map():
    assert len(spots("map01")) == len(set(spots("map01"))) > 100
    assert all(-4096 < x < 4096 and -4096 < y < 4096 for x, y in spots("map01"))
