"""Train a PPO agent that looks at its targets.

    rl-attn ppo --env DefendCenter --camal 1.0       # CAMAL (Hundal et al. 2026)
    rl-attn ppo --env DefendCenter --camal 0         # Vanilla PPO
    rl-attn ppo --resume runs/DefendCenter/...       # go on where it was interrupted
    tensorboard --logdir runs
    torchrun --nproc-per-node 2 -m rl_attn.ppo ...   # over several devices

`rl/settings.py` has the settings, `rl/run.py` the run, `rl/trainer.py` the algorithm, and
`rl/methods/` what is added to it. Nothing heavy is imported before the settings are known to be
right.
"""

from rl_attn.rl.settings import AgentSettings, args_type, check_together, validate
from rl_attn.run.cli import parse, run_command

__all__ = ["AgentSettings", "args_type", "main", "validate"]


def main(argv: list[str]) -> int:
    args = parse(args_type(argv), argv, "rl-attn ppo")
    if args.resume is None:
        check_together(args)
    from rl_attn.rl.distributed import joined
    from rl_attn.rl.run import start

    with joined() as ranks:
        return start(args, argv, ranks)


if __name__ == "__main__":
    run_command(main)
