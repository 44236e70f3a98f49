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

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_types import Interval

from rl_attn.env_settings import SCENARIO_NAMES
from rl_attn.errors import UserError, choose
from rl_attn.run.cli import command, run_command
from rl_attn.run.settings import PathText, Seed, Side


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
    """random seed of the episodes and of the actions"""
    count: Annotated[int, Interval(ge=1, le=10**6)] = 200
    """how many masks at most"""
    levels: Annotated[int, Interval(ge=2, le=1000)] = 10
    """severities above zero for each mask and perturbation"""
    min_radius: Annotated[int, Interval(ge=1, le=1000)] = 4
    """leave out masks that an erosion by fewer pixels removes almost completely"""
    out: PathText = "regularizers"
    """folder for the results"""


def check(args: RegularizerSettings) -> None:
    if args.masks and not Path(args.masks).is_dir():
        raise UserError(f"folder {args.masks} does not exist")
    choose("scenario", args.env, SCENARIO_NAMES)


@command(RegularizerSettings, "rl-attn regularizers")
def main(args: RegularizerSettings) -> int:
    check(args)
    from rl_attn.regularizer_responses import compare

    return compare(args)


if __name__ == "__main__":
    run_command(main)
