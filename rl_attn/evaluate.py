"""Play a trained agent on fixed seeds: how well it plays, and where it looks.

    python -m rl_attn.evaluate runs/DefendCenter/camal1-s1-...
    python -m rl_attn.evaluate RUN --faithfulness --closed-loop
    python -m rl_attn.evaluate RUN --looks test --twins
    python -m rl_attn.evaluate model.zip --env DefendCenter     # of stable-baselines3

Prints one table and leaves beside the checkpoint's run `evaluation.json` (all of it, each episode
included), `evaluation.mp4` (frame, mask and attention side by side) and, with --faithfulness,
`faithfulness.png`, with --looks `looks.csv`, with --twins `twins.csv` and `twins.mp4`. Intervals
are 95 %: mean +- 1.96 standard errors over episodes.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from rl_attn.errors import UserError
from rl_attn.map_names import MAPS
from rl_attn.run.cli import command, run_command
from rl_attn.run.plugins import import_all
from rl_attn.run.settings import OpenShare, PathText, Positive, Threads


@dataclass
class EvaluationSettings:
    """Play a trained agent on fixed seeds; report its return and its attention."""

    run: Annotated[PathText, tyro.conf.Positional]
    """folder of a run of rl_attn.ppo, or a model.zip of stable-baselines3"""
    checkpoint: PathText = "latest"
    """latest, best, or a checkpoint's path"""
    episodes: Positive[int] = 30
    """how many episodes"""
    policy: Literal["sample", "greedy"] = "sample"
    """draw actions from the policy, or take the likeliest one"""
    attention_target: Literal["value", "action"] | None = None
    """whose attention: the value's or the action's (default: as in training)"""
    attention: str | None = None
    """the attention map, by its name as in rl-attn ppo (default: the one of the training); also
    greydanus, sarfa and rise, which take hundreds of forwards a frame"""
    num_envs: Positive[int] = 8
    """games played at once; the results do not depend on it"""
    video: bool = True
    """write a video of the first episode"""
    faithfulness: bool = False
    """remove and insert the most attended pixels on single frames"""
    faithfulness_frames: Positive[int] = 128
    """frames of that test and of --second-attention, taken evenly from the episodes"""
    second_attention: str = ""
    """measure another map too, of the action, on single frames: one that nobody trains, such as
    sarfa. It is of what a method shows the agent"""
    closed_loop: bool = False
    """play again without the most attended pixels, the same shape elsewhere, as many scattered
    pixels, all but the targets, and the targets"""
    removed_share: OpenShare = 0.1
    """share of the pixels missing in closed loop"""
    looks: str = ""
    """play again under other looks, "test" for those held out from training, "test:surfaces,light"
    for some axes of them, "train"; and report what is lost"""
    wads: tuple[str, ...] = ()
    """of Doom: WADs of other looks to play in too, such as LevDoom's, where they are"""
    looks_per_axis: Positive[int] = 4
    """how many looks of each axis, for --looks and --twins"""
    twins: bool = False
    """play the same episodes under the looks of --looks (default: test), with the same actions, and
    compare the agent frame by frame; with the targets' own looks as a control"""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N"""
    threads: Threads = 0
    """CPU threads of torch (0: its own choice)"""
    out: PathText | None = None
    """folder for the results (default: the run's, or one beside model.zip)"""
    env: str = ""
    """of model.zip: the environment, as rl-attn ppo takes it (a run knows its own)"""
    targets: tuple[str, ...] = ()
    """of model.zip: what counts as a target"""
    rgb: bool = False
    """of model.zip: it sees colour frames"""
    frame_skip: Positive[int] = 4
    """of model.zip: game tics an action is repeated for"""
    frame_key: str = "frame"
    """of model.zip: key of the frame in an observation of a gymnasium environment"""
    mask_key: str = "mask"
    """of model.zip: key of the mask"""
    imports: Annotated[tuple[str, ...], tyro.conf.arg(name="import")] = ()
    """modules or files that register the environment of model.zip"""


#: What a run knows itself.
OF_MODEL = ("env", "targets", "rgb", "frame_skip", "frame_key", "mask_key")


def check(args: EvaluationSettings) -> None:
    """Refuse what cannot work, before anything is loaded."""
    import_all(args.imports)
    for name in filter(None, (args.attention, args.second_attention)):
        MAPS.check(name)
    if is_model(args.run):
        if not Path(args.run).is_file():
            raise UserError(f"model {args.run} does not exist")
        if not args.env:
            raise UserError(f"{args.run} does not say what it plays: give --env")
    elif not Path(args.run).is_dir():
        raise UserError(f"run folder {args.run} does not exist")
    else:
        for field in dataclasses.fields(args):
            if field.name in OF_MODEL and getattr(args, field.name) != field.default:
                flag = field.name.replace("_", "-")
                raise UserError(f"--{flag}: the run {args.run} says itself what it plays")


def is_model(path: str) -> bool:
    """Whether it is a model of stable-baselines3, and no run."""
    return path.endswith(".zip")


@command(EvaluationSettings, "rl-attn evaluate")
def main(args: EvaluationSettings) -> int:
    check(args)
    from rl_attn.evaluation import evaluate

    return evaluate(args)


if __name__ == "__main__":
    run_command(main)
