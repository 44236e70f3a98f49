"""Make masks for a data set from words, and measure them where true masks exist.

    python -m supervised.masks --data monsters --model doom --input-size 64 80 96 --mirror \\
        --no-spread --refine
    python -m supervised.masks --data color-mnist --model ViT-B-16 --weights openai \\
        --foreground digit --background Background dark black
    python -m supervised.train --data color-mnist --masks runs/masks/color-mnist/...

The folder holds <split>.npy (see `mask_folder`), contact.png, and evaluation.json with the masks'
IoU: the pilot study of CAMAL (its Figure 8) as a command. The same command goes on after an
interruption, and redoes masks that have been damaged. Memory is bounded by --batch-size.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Interval

from rl_attn.run.cli import command, run_command
from rl_attn.run.settings import PathText, Side, Threads
from rl_attn.supervised.data import LOADERS


@dataclass
class MaskSettings:
    """Make masks for a data set by asking a vision-language model."""

    config: PathText | None = None
    """YAML file with values for these flags; flags override it"""
    data: str = "digits"
    """data set, see supervised.train"""
    data_root: PathText = "data"
    """folder with the data that you downloaded"""
    data_options: tuple[str, ...] = ()
    """of the data set: key=value ..."""
    splits: tuple[str, ...] = ()
    """which splits (default: all)"""
    out: PathText | None = None
    """folder of the masks (default: runs/masks/<data>/<model>-<teacher>)"""

    teacher: Literal["clip-es", "naclip", "cam"] = "clip-es"
    """Grad-CAM with attention affinity; dense and without gradient; plain Grad-CAM"""
    model: str = "doom"
    """a model of open_clip (ViT-B-16), a folder that it can load, or doom: the one that
    python -m rl_attn.teachers.offline trains"""
    weights: str = "openai"
    """a tag of open_clip, or a file; `random` is for tests"""
    input_size: tuple[Side, ...] = ()
    """side of the model's input (default: the model's own); larger gives finer masks, several are
    averaged"""
    mirror: bool = False
    """average over each picture and its mirror image"""
    spread: bool = True
    """of clip-es: spread its Grad-CAM along the blocks' attention"""
    foreground: tuple[str, ...] = ()
    """words for the classes, in their order, or one for all (default: the classes' names)"""
    background: tuple[str, ...] = ()
    """words for what else there is (default: the data set's of Learning to Look, the offline
    teacher's, or CLIP-ES's 25)"""
    templates: tuple[str, ...] = ()
    """sentences with {} for the word"""
    refine: bool = False
    """draw the masks to the pictures' edges (PAMR)"""
    threshold: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    """make masks binary at this value; 0: leave them soft"""
    dilate: Annotated[int, Interval(ge=0, le=1000)] = 0
    """then widen them by a square of this radius, in pixels"""
    edge: Annotated[int, Interval(ge=0, le=1000)] = 0
    """then keep a band of this radius along their edge (Learning to Look)"""

    batch_size: Annotated[int, Interval(ge=1, le=2**16)] = 32
    """pictures in a batch"""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N"""
    threads: Threads = 0
    """CPU threads of torch (0: its own choice)"""


@command(MaskSettings, "rl-attn masks")
def main(args: MaskSettings) -> int:
    LOADERS.check(args.data)
    from rl_attn.supervised.labelling import label_data

    return label_data(args)


if __name__ == "__main__":
    run_command(main)
