"""Which regulariser notices that attention goes wrong? (CAMAL, Appendix B, Table 4 and Fig. 9.)

    python -m rl_attn.regularizers --env DefendCenter --out comparison
    python -m rl_attn.regularizers --masks FOLDER --pattern "*_mask.png" --out comparison

Every mask is shifted, eroded and dilated with growing severity to play the part of attention, and
each regulariser's response to mask and attention is correlated with the severity (Spearman,
Pearson). A good one responds monotonically to all three. Masks come from a folder of pictures or
are rendered by Doom under random play. Leaves `regularizers.csv` and `regularizers.png`.

On attention of zeros and ones some losses are the same number: L2 suppression is L1's, GALS's match
and HINT are GRADIA's L1.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from annotated_types import Interval
from PIL import Image, UnidentifiedImageError
from rich.progress import track
from torch import Tensor

from rl_attn.attention.deviations import DIRECTIONS, KINDS, deviations, reach
from rl_attn.attention.losses import camal, gradia, kl_alignment, suppress_only
from rl_attn.envs.doom.lanes import Lanes
from rl_attn.envs.doom.scenarios import SCENARIOS
from rl_attn.errors import UserError, choose
from rl_attn.regularizer_report import Response, draw, show, summarize, write_csv
from rl_attn.run.cli import parse, run_command
from rl_attn.run.settings import PathText, Seed, Side

#: What is compared: (attention, mask) -> (B,).
REGULARIZERS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "CAMAL": camal,
    "suppress only": suppress_only,
    "L1 GRADIA": gradia,
    "KL printed": lambda attention, mask: kl_alignment(attention, mask, "printed"),
    "KL released": kl_alignment,
}


@dataclass
class RegularizerSettings:
    """Correlate regularisers' responses with how far attention deviates from masks."""

    masks: str = ""
    """folder of mask pictures; empty: render masks with Doom"""
    pattern: str = "*.png"
    """which files of that folder"""
    on_above: Annotated[int, Interval(ge=0, le=255)] = 127
    """gray value above which a picture's pixel belongs to the mask"""
    env: str = "DefendCenter"
    """Doom scenario whose targets give the masks"""
    width: Side = 320
    """width of rendered masks"""
    height: Side = 240
    """height of rendered masks"""
    seed: Seed = 1
    """of the episodes and of the random actions in them"""
    count: Annotated[int, Interval(ge=1, le=10**6)] = 200
    """how many masks at most"""
    levels: Annotated[int, Interval(ge=2, le=1000)] = 10
    """severities above zero for each mask and perturbation"""
    min_radius: Annotated[int, Interval(ge=1, le=1000)] = 4
    """leave out masks that an erosion by fewer pixels takes away almost wholly"""
    out: PathText = "regularizers"
    """folder for the results"""


def responses(mask: Tensor, levels: int, direction: tuple[int, int]) -> dict[str, Response]:
    """Each kind's severities and every regulariser's response to them.

    Args:
        mask: (H, W) in {0, 1}.
    """
    found = {}
    for kind in KINDS:
        severities, maps = deviations(mask, kind, levels, direction)
        masks = mask.expand(len(maps), -1, -1)
        values = {name: loss(maps, masks).numpy() for name, loss in REGULARIZERS.items()}
        found[kind] = Response(severities.numpy(), values)
    return found


def usable(mask: Tensor, min_radius: int) -> bool:
    """Large enough for several severities, and not the whole picture."""
    return reach(mask, "erode") >= min_radius


def read_masks(args: RegularizerSettings) -> Iterator[Tensor]:
    """The folder's masks, (H, W) in {0, 1}, each of its own size."""
    paths = sorted(Path(args.masks).rglob(args.pattern))
    if not paths:
        raise UserError(f"no file {args.pattern} in {args.masks}")
    for path in paths:
        try:
            picture = np.asarray(Image.open(path).convert("L"))
        except (OSError, UnidentifiedImageError):
            raise UserError(f"{path} is not a picture") from None
        yield torch.from_numpy(picture > args.on_above).float()


def rendered_masks(
    args: RegularizerSettings, every: int = 8, steps: int = 20_000
) -> Iterator[Tensor]:
    """Masks that Doom renders under random play, (H, W) in {0, 1}: every 8th step of 4 games."""
    random = np.random.default_rng(args.seed)
    size = (args.width, args.height)
    with Lanes(args.env, 4, resolution=size, seed=args.seed) as lanes:
        frames = np.empty((4, *lanes.frame_shape), np.uint8)
        masks = np.empty((4, *lanes.mask_shape), np.uint8)
        lanes.reset(frames, masks)
        for step in range(steps):
            lanes.step(random.integers(lanes.action_space.n, size=4), frames, masks)
            if step % every == 0:
                yield from torch.from_numpy(masks > 0).float()


def collect(args: RegularizerSettings) -> list[Tensor]:
    """Up to `count` usable masks."""
    source = read_masks(args) if args.masks else rendered_masks(args)
    chosen = []
    for mask in source:
        if usable(mask, args.min_radius):
            chosen.append(mask)
        if len(chosen) == args.count:
            break
    if len(chosen) < 2:
        raise UserError(
            f"{len(chosen)} masks are large enough: lower --min-radius {args.min_radius} or give "
            "larger masks"
        )
    return chosen


def check(args: RegularizerSettings) -> None:
    if args.masks and not Path(args.masks).is_dir():
        raise UserError(f"folder {args.masks} does not exist")
    choose("scenario", args.env, list(SCENARIOS))


#: What `main` reads the command line into.
SETTINGS = RegularizerSettings


def main(argv: list[str]) -> int:
    args = parse(RegularizerSettings, argv, "rl-attn regularizers")
    check(args)
    masks = collect(args)
    found = [
        responses(mask, args.levels, DIRECTIONS[index % len(DIRECTIONS)])
        for index, mask in enumerate(track(masks, "perturbing", transient=True))
    ]
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    rows = summarize(found)
    write_csv(rows, out / "regularizers.csv")
    draw(max(masks, key=torch.sum), found, out / "regularizers.png")
    show(rows, f"{args.masks or args.env}, {len(masks)} masks")
    return 0


if __name__ == "__main__":
    run_command(main)
