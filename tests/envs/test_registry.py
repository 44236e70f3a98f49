"""From names to environments: what there is not is refused in one line."""

import pytest

from rl_attn.envs.registry import EnvSettings, find
from rl_attn.errors import UserError


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"env": "no_such_module:Game-v0"}, "no_such_module"),
        ({"env": "gymnasium:NoSuchGame-v0"}, "NoSuchGame"),
        ({"env": "gymnasium:CartPole-v1", "width": 320}, "--width"),
        ({"env": "gymnasium:CartPole-v1", "actions": "binary"}, "--actions"),
        ({"env": "gymnasium:CartPole-v1", "frame_size": "0x84"}, "--frame-size"),
        ({"env": "gymnasium:CartPole-v1"}, "observation space"),
        ({"env": "Basik"}, "did you mean"),
        (
            {"env": "examples/Nowhere-v0"},
            "gymnasium knows no examples/Nowhere-v0",
        ),
        ({"env": "no:where.cfg"}, "there is no scenario file .*no:where.cfg"),
        ({"env": "Basic", "frame_key": "pixels"}, "--frame-key is for gymnasium's environments"),
        ({"env": "Basic", "env_processes": False}, "--no-env-processes is for gymnasium's"),
    ],
)
def test_wrong_names_and_flags_of_other_environments_are_refused(settings, part):
    with pytest.raises(UserError, match=part) as error:
        find(EnvSettings(**settings))
    assert "\n" not in str(error.value)


def test_doom_by_its_gymnasium_id_has_the_same_looks_held_out():
    name = "rl_attn.envs:rl_attn/Basic-v0"
    theirs = find(EnvSettings(env=name, env_processes=False)).variations()
    ours = find(EnvSettings(env="Basic")).variations()
    assert theirs.controls == ours.controls
    for axis, numbers in ours.axes.items():
        assert list(theirs.axes[axis].test) == list(numbers.test)
        assert list(theirs.axes[axis].train) == list(numbers.train)
