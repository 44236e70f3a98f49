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
        ({"env": "Basic", "frame_key": "pixels"}, "--frame-key is for gymnasium's environments"),
        ({"env": "Basic", "env_processes": False}, "--env-processes is for gymnasium's"),
    ],
)
def test_wrong_names_and_flags_of_other_environments_are_refused(settings, part):
    with pytest.raises(UserError, match=part) as error:
        find(EnvSettings(**settings))
    assert "\n" not in str(error.value)
