"""What a trained network says of images, and where it looks.

    rl-attn explain runs/masked-folder/... photo.png more/        # files, and folders of them
    rl-attn explain RUN IMAGES --maps grad-cam le-grad            # side by side
    rl-attn explain runs/DefendCenter/... frames/                 # of an agent; also a model.zip
    rl-attn explain timm:resnet18 photo.png                       # a model by its name

A mask is found by its name: `x_mask.png` beside `x.png`, `masks/.../x.png` for `images/.../x.png`,
or `x.png` in the folder of --masks; the table then has the IoU of every map.

Leaves in --out: NAME.png (image and maps), explanations.csv (a row an image: file, label,
probability, the probability of every class, the IoU of every map) and index.html, a page of all.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from rl_attn.errors import UserError
from rl_attn.map_names import MAPS
from rl_attn.run.cli import command, run_command
from rl_attn.run.plugins import import_all
from rl_attn.run.settings import PathText


@dataclass
class ExplainSettings:
    """Explain what a trained network says of images."""

    run: Annotated[PathText, tyro.conf.Positional]
    """folder of a run, a model.zip of stable-baselines3, or a model by its name: torchvision:NAME,
    timm:NAME, hf:NAME, module:function"""
    images: Annotated[tuple[PathText, ...], tyro.conf.Positional]
    """image files, and folders of them"""
    maps: tuple[str, ...] = ()
    """which maps, side by side (default: the run's own)"""
    label: str | None = None
    """the class that is explained (default: the one that is predicted)"""
    masks: PathText | None = None
    """folder of masks, by the images' names (default: those beside the images)"""
    attention_target: Literal["value", "action"] | None = None
    """of an agent: what is explained (default: as it was trained)"""
    weights: PathText = "imagenet"
    """of a model by its name: imagenet (its own), none (random), or a file of weights"""
    out: PathText | None = None
    """folder for what is written (default: RUN/explanations; explanations/NAME of a model)"""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N"""
    imports: Annotated[tuple[str, ...], tyro.conf.arg(name="import")] = ()
    """modules or files that register a map, or a gymnasium environment"""


def check(args: ExplainSettings) -> None:
    """What can be refused before anything is loaded."""
    for name in args.maps:
        MAPS.check(name)
    if not args.images:
        raise UserError("no image is given: rl-attn explain RUN IMAGE...")
    for path in args.images:
        if not Path(path).exists():
            raise UserError(f"image {path} does not exist: name image files, or folders of them")
    if args.weights not in ("imagenet", "none") and not Path(args.weights).is_file():
        raise UserError(f"--weights {args.weights} is not a file: take imagenet, none, or a file")
    if args.masks and not Path(args.masks).is_dir():
        raise UserError(f"--masks {args.masks} is not a folder")


@command(ExplainSettings, "rl-attn explain")
def main(args: ExplainSettings) -> int:
    import_all(args.imports)
    check(args)
    from rl_attn.explaining import explain_all

    return explain_all(args)


if __name__ == "__main__":
    run_command(main)
