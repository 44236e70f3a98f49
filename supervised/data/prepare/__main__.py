"""Prepare a set that has to be downloaded by hand.

    python -m supervised.data.prepare lidc --from LIDC-IDRI --to data/lidc
    python -m supervised.data.prepare pancreas --from DIR --to data/pancreas
    python -m supervised.data.prepare gender --from gender_data --to data/gender

reads the original as it is published and writes pictures and masks, see `samples`. LIDC and the
pancreas need the extra `medical`.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from rl_attn.errors import UserError, choose
from rl_attn.run.cli import command, run_command
from rl_attn.supervised.data.prepare.options import Lidc, Pancreas

if TYPE_CHECKING:
    from rl_attn.supervised.data.prepare.samples import Drawn

SETS = ("lidc", "pancreas", "gender", "scene")


@dataclass(frozen=True)
class PrepareSettings:
    """Prepare a set from its original download."""

    data: tyro.conf.Positional[str]
    """which one: lidc, pancreas, gender or scene"""
    source: Annotated[Path, tyro.conf.arg(name="from")]
    """folder of the original"""
    to: Path
    """folder to write"""
    lidc: Lidc = field(default_factory=Lidc)
    pancreas: Pancreas = field(default_factory=Pancreas)


@command(PrepareSettings, "rl-attn prepare")
def main(args: PrepareSettings) -> int:
    choose("data set", args.data, SETS)
    args.lidc.check()
    if not args.source.is_dir():
        raise UserError(f"--from {args.source} does not exist")
    from rl_attn.supervised.data.prepare.samples import refuse_finished, store

    refuse_finished(args.to)
    samples = store(pictures(args), args.to)
    counts = Counter(sample.category for sample in samples)
    print(
        f"wrote {', '.join(f'{n:,} {label}' for label, n in sorted(counts.items()))} to {args.to}"
    )
    return 0


def pictures(args: PrepareSettings) -> "Iterator[Drawn]":
    """Of the set that was asked for."""
    if args.data == "lidc":
        from rl_attn.supervised.data.prepare.lidc import lidc

        return lidc(args.source, args.lidc)
    if args.data == "pancreas":
        from rl_attn.supervised.data.prepare.pancreas import pancreas

        return pancreas(args.source, args.pancreas)
    from rl_attn.supervised.data.prepare.res import res

    return res(args.data, args.source)


if __name__ == "__main__":
    run_command(main)
