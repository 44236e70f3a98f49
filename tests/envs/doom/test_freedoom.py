import pytest

from rl_attn.envs.doom.freedoom import places


def test_places_are_those_of_the_map():
    assert [-192, -192] in places("MAP01").tolist()  # where the player starts
    assert 100 < len(places("MAP01")) <= 200
    with pytest.raises(ValueError, match="no map 'MAP33'"):
        places("MAP33")
