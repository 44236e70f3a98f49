"""Look at a data set before training on it.

    python -m supervised.data monsters --options split=shortcut --sheet monsters.png
    python -m supervised.data busi --data-root PATH

prints the splits, what the masks mark and how much of the pictures they cover, and draws a
contact sheet. `--options` takes those of the set, `name=value` each; a wrong one is answered by
the choices.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from annotated_types import Interval

from rl_attn.errors import UserError, choose
from rl_attn.run.cli import parse, read_options, run_command
from rl_attn.supervised.data import LOADERS

if TYPE_CHECKING:
    from rich.table import Table

    from rl_attn.supervised.data import DataSet


@dataclass(frozen=True)
class DataSettings:
    """Look at a data set."""

    data: tyro.conf.Positional[str]
    """which one; an unknown name lists them"""
    data_root: Path | None = None
    """folder with data that does not come with a package"""
    options: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE")] = ()
    """options of the data set"""
    sheet: Path | None = None
    """draw a contact sheet into this PNG file"""
    split: str = "train"
    """whose pictures the sheet shows"""
    columns: Annotated[int, Interval(ge=1, le=1000)] = 8
    """pictures of each class on the sheet"""
    colours: Annotated[int, Interval(ge=0, le=256)] = 128
    """colours that the sheet's file is reduced to; 0 keeps them all"""


#: What `main` reads the command line into.
SETTINGS = DataSettings


def main(argv: list[str]) -> int:
    args = parse(DataSettings, argv, "rl-attn data")
    if args.sheet is not None and not args.sheet.absolute().parent.is_dir():
        raise UserError(f"the sheet {args.sheet} cannot be written: its folder does not exist")
    LOADERS.check(args.data)
    from PIL import Image
    from rich.console import Console

    from rl_attn.supervised.data import load
    from rl_attn.supervised.data.found import found
    from rl_attn.supervised.data.sheet import contact_sheet

    dataset = load(args.data, args.data_root, **read_options(args.options, "--options"))
    choose("split", args.split, list(dataset.splits))
    print(found(dataset))
    Console(file=sys.stdout).print(summary(dataset))
    if args.sheet is not None:
        picture = Image.fromarray(contact_sheet(dataset, args.split, args.columns))
        if args.colours:
            picture = picture.quantize(args.colours, Image.Quantize.MEDIANCUT)
        picture.save(args.sheet, "PNG", optimize=True)
        print(f"wrote {args.sheet}")
    return 0


def summary(dataset: "DataSet") -> "Table":
    """A row for each split."""
    from rich.table import Table

    height, width = dataset.size
    shape = f"{dataset.channels}x{height}x{width}"
    table = Table(
        title=f"{dataset.name}: {shape}, {len(dataset.classes)} classes",
        caption=f"masks: {dataset.mask_meaning}",
    )
    for column in ("split", "pictures", "rarest class", "masked", "empty masks"):
        table.add_column(column, justify="left" if column == "split" else "right")
    for name, split in dataset.splits.items():
        fewest = split.labels.bincount(minlength=len(dataset.classes)).min().item()
        cover, empty = "", ""
        if split.masks is not None:
            cover = f"{split.masks.float().mean().item() / 255:.1%}"
            empty = f"{(split.annotated & (split.masks.flatten(1).amax(1) == 0)).sum().item():,}"
        table.add_row(name, f"{len(split):,}", f"{fewest:,}", cover, empty)
    return table


if __name__ == "__main__":
    run_command(main)
