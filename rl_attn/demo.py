"""Two small agents play Doom live, plain PPO beside CAMAL, each with its attention.

    rl-attn demo                            # a page in the browser; no network, no training
    rl-attn demo --record docs/demo.webp    # the README's moving picture: they, and a twin

The agents come with the package (`live/shipped.py` says how they were trained). On the page one
chooses the look of the game: other walls, another light, monsters of another colour.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_types import Interval

from rl_attn.errors import UserError
from rl_attn.run.cli import command, run_command
from rl_attn.run.settings import PathText
from rl_attn.watch import PageSettings


@dataclass
class DemoSettings(PageSettings):
    """Two small agents play Doom on a page, plain PPO beside CAMAL."""

    record: PathText | None = None
    """write a moving picture (.webp or .gif) instead of showing a page"""
    seconds: Annotated[float, Interval(ge=0.5, le=60)] = 6.0
    """of --record, how long"""


@command(DemoSettings, "rl-attn demo")
def main(args: DemoSettings) -> int:
    if args.record and Path(args.record).suffix not in (".webp", ".gif"):
        raise UserError(f"--record {args.record}: the name must end in .webp or .gif")
    from rl_attn.live.shipped import shipped

    players = shipped()
    if args.record:
        from rl_attn.live.record import record

        return record(players, Path(args.record), args.seconds)
    from rl_attn.live.command import on_a_page
    from rl_attn.live.show import Show

    about = (
        "Two agents after minutes of training, far from good: plain PPO, and PPO with the CAMAL "
        "loss. Choose another look, and see what each still looks at."
    )
    return on_a_page(Show(players, sharp=True), "rl-attn demo", about, args.port, args.browser)


if __name__ == "__main__":
    run_command(main)
