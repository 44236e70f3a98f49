"""Monsters on Freedoom's maps: exact masks, and the same pictures for the same seed."""

from itertools import islice

import numpy as np
import pytest

from rl_attn.envs.doom.game import GameFault
from rl_attn.envs.doom.studio import NoRoom, Studio


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def studio():
    with Studio("MAP01") as opened:
        yield opened


@pytest.fixture(scope="module")
def shots(studio):
    """(view, the place without the monster), three times."""
    views = studio.views("Cacodemon", rng(1), coverage=(0.01, 0.5))
    return [(view, studio.without("Cacodemon")) for view in islice(views, 3)]


def test_the_mask_is_where_the_monster_is(shots):
    elsewhere = []
    for view, place in shots:
        assert view.picture.shape == place.shape == (120, 160, 3)
        assert view.picture.dtype == place.dtype == np.uint8
        assert view.mask.shape == (120, 160) and 0.01 <= view.mask.mean() <= 0.5
        changed = (view.picture != place).any(2)
        assert changed[view.mask].mean() > 0.9
        elsewhere.append(changed[~view.mask].mean())
    assert min(elsewhere) < 0.01  # lights may flicker, the camera may still be coming down
    assert not np.array_equal(shots[0][0].picture, shots[1][0].picture)


def test_the_same_seed_gives_the_same_pictures(studio, shots):
    first, _ = shots[0]
    again, other = (next(studio.views("Cacodemon", rng(n), (0.01, 0.5))) for n in (1, 2))
    assert np.array_equal(first.picture, again.picture) and np.array_equal(first.mask, again.mask)
    assert not np.array_equal(other.picture, first.picture)


def test_square_pictures_are_the_middle_of_the_screen(studio):
    with Studio("MAP01", square=True) as other:
        middle, whole = (next(s.empty_views(rng(3))) for s in (other, studio))
    assert np.array_equal(middle, whole[:, 20:140])


def test_what_cannot_be_shown_is_said(studio, monkeypatch):
    monkeypatch.setattr("rl_attn.envs.doom.studio.ATTEMPTS", 5)
    with pytest.raises(NoRoom, match="no picture of a Demon on MAP01 in 5 attempts"):
        next(studio.views("Demon", rng(0), coverage=(0.9, 1.0)))
    monkeypatch.setattr("rl_attn.envs.doom.studio.DARKEST", 256)
    with pytest.raises(NoRoom, match="MAP01 is too dark"):
        next(studio.empty_views(rng(0)))


def test_a_dead_engine_is_a_fault_and_comes_back():
    with Studio("MAP01") as studio:
        views = studio.views("Demon", rng(0))
        first = next(views)
        studio.kill()
        with pytest.raises(GameFault, match="MAP01 has ended"):
            next(views)
        assert np.array_equal(next(studio.views("Demon", rng(0))).picture, first.picture)
