"""Prepare a set that has to be downloaded by hand.

    python -m supervised.data.prepare lidc --from LIDC-IDRI --to data/lidc
    python -m supervised.data.prepare gender --from gender_data --to data/gender

reads the original as it is published and writes pictures and masks, see `samples`. Medical sets
need the extra `medical`.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rl_attn.cli import UserError, choose, parse, run_command
from supervised.data.prepare.res import res
from supervised.data.prepare.samples import refuse_finished, store

SETS = ("gender", "scene")


@dataclass(frozen=True)
class Args:
    """Prepare a set from its original download."""

    data: tyro.conf.Positional[str]
    """which one: lidc, pancreas, gender, scene"""
    source: Annotated[Path, tyro.conf.arg(name="from")]
    """folder of the original"""
    to: Path
    """folder to write"""


def main(argv: list[str]) -> int:
    args = parse(Args, argv, "python -m supervised.data.prepare")
    choose("data set", args.data, SETS)
    if not args.source.is_dir():
        raise UserError(f"--from {args.source} does not exist")
    refuse_finished(args.to)
    samples = store(res(args.data, args.source), args.to)
    counts = Counter(sample.category for sample in samples)
    print(
        f"wrote {', '.join(f'{n:,} {label}' for label, n in sorted(counts.items()))} to {args.to}"
    )
    return 0


if __name__ == "__main__":
    run_command(main)
