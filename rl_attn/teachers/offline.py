"""Train a small CLIP on rendered Doom pictures: a teacher for machines without a network.

    python -m rl_attn.teachers.offline            # minutes; again: nothing to do, or go on

The pictures are rendered here, their captions are generated ("an imp in front of a green wall"),
the model is open_clip's own with small towers and the tokenizer that it ships. It learns by
contrast between pictures and captions alone: no mask, no place of a monster enters. The result is
a folder that open_clip loads ("local-dir:..."), in the user's cache; teachers call it `doom`.
"""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Interval

from rl_attn.run.cli import command, run_command
from rl_attn.run.settings import PathText, Positive, Seed, Threads


@dataclass
class OfflineTeacherSettings:
    """Train the offline teacher; run again to go on after an interruption."""

    config: PathText | None = None
    """YAML file with values for these flags; flags override it"""
    out: PathText | None = None
    """folder of the teacher (default: the user's cache)"""
    steps: Annotated[int, Interval(ge=1, le=10**9)] = 4000
    """steps of Adam"""
    batch_size: Annotated[int, Interval(ge=1, le=2**16)] = 64
    """pictures a step"""
    learning_rate: Positive[float] = 1e-3
    """its peak; a tenth of the steps warms up, then it falls by a cosine"""
    maps: Annotated[int, Interval(ge=1, le=32)] = 28
    """number of Freedoom maps to render; four more are held out"""
    each: Annotated[int, Interval(ge=1, le=10**5)] = 10
    """pictures of each of 14 monsters on each map"""
    frames: Annotated[int, Interval(ge=0, le=10**6)] = 150
    """frames of each of the agents' scenarios"""
    seed: Seed = 0
    """random seed of the whole run"""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N"""
    threads: Threads = 0
    """CPU threads of torch (0: its own choice)"""


@command(OfflineTeacherSettings, "rl-attn teacher")
def main(args: OfflineTeacherSettings) -> int:
    from rl_attn.teachers.offline_training import train

    return train(args)


if __name__ == "__main__":
    run_command(main)
