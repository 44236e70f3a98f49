"""What a uniformly random policy scores on the fixed seeds of evaluations: the floor of a return.

    python -m rl_attn.random_policy --env DefendCenter --out runs/random/DefendCenter

Leaves `evaluation.json` as `rl_attn.evaluate` does, with the raw return, the length, the share of
frames without a target, and the IoU's ceiling at the grid of the default network's maps over the
frames that such a policy sees. Each episode draws its actions from a generator of its own seed, so
that the result does not depend on how many games are played at once.
"""

from dataclasses import dataclass
from typing import Annotated

import tyro

from rl_attn.env_settings import EnvSettings, check_name
from rl_attn.run.cli import command, run_command
from rl_attn.run.plugins import import_all
from rl_attn.run.settings import PathText, Positive


@dataclass(kw_only=True)
class RandomPolicySettings(EnvSettings):
    """Play the evaluation's seeds with uniformly random actions."""

    out: PathText
    """folder for evaluation.json"""
    episodes: Positive[int] = 30
    """how many episodes"""
    num_envs: Positive[int] = 8
    """games played at once; the result does not depend on it"""
    imports: Annotated[tuple[str, ...], tyro.conf.arg(name="import")] = ()
    """modules or files that register the environment"""


@command(RandomPolicySettings, "rl-attn random-policy")
def main(args: RandomPolicySettings) -> int:
    import_all(args.imports)
    check_name(args)
    from rl_attn.random_play import measure

    return measure(args)


if __name__ == "__main__":
    run_command(main)
