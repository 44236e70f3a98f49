"""What regularisers say to masks that deviate from themselves, see `rl_attn.regularizers`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import numpy as np
import torch
from gymnasium import spaces
from PIL import Image, UnidentifiedImageError
from rich.progress import track
from torch import Tensor

from rl_attn.attention.deviations import DIRECTIONS, KINDS, deviations, reach
from rl_attn.attention.losses import camal, gradia, kl_alignment, suppress_only
from rl_attn.envs.doom.lanes import Lanes
from rl_attn.errors import UserError
from rl_attn.regularizer_report import Response, draw, show, summarize, write_csv
from rl_attn.regularizers import RegularizerSettings

#: What is compared: (attention, mask) -> (B,).
REGULARIZERS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "CAMAL": camal,
    "suppress only": suppress_only,
    "L1 GRADIA": gradia,
    "KL printed": lambda attention, mask: kl_alignment(attention, mask, "printed"),
    "KL released": kl_alignment,
}


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


def rendered_masks(args: RegularizerSettings) -> Iterator[Tensor]:
    """Masks that Doom renders under random play, (H, W) in {0, 1}, of 4 games: every 64th step, for
    masks of steps that follow each other are nearly one mask."""
    random = np.random.default_rng(args.seed)
    size = (args.width, args.height)
    with Lanes(args.env, 4, resolution=size, seed=args.seed) as lanes:
        actions = int(cast("spaces.Discrete", lanes.action_space).n)
        frames = np.empty((4, *lanes.frame_shape), np.uint8)
        masks = np.empty((4, *lanes.mask_shape), np.uint8)
        lanes.reset(frames, masks)
        for step in range(50_000):
            lanes.step(random.integers(actions, size=4), frames, masks)
            if step % 64 == 0:
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


def compare(args: RegularizerSettings) -> int:
    """Print the table and write the files; returns the exit status."""
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
