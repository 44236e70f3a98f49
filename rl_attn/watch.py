"""Watch a trained agent play, with its attention beside it.

    rl-attn watch runs/DefendCenter/camal1-s1-...
    rl-attn watch RUN OTHER                 # two agents side by side, each in a game of its own
    rl-attn watch RUN --window              # in a window, where OpenCV has windows

The frame with the outline of the targets, the frame under its attention, action, reward, V(s) and
IoU, step by step; keys pause, step, and change the look. It is shown on a page of this machine's
alone (127.0.0.1): the `opencv-python-headless` that comes with the package has no windows.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from annotated_types import Interval

from rl_attn.errors import UserError
from rl_attn.run.cli import command, run_command
from rl_attn.run.settings import PathText


@dataclass
class PageSettings:
    """Where agents are shown."""

    port: Annotated[int, Interval(ge=0, le=65535)] = 7861
    """port of the page, which this machine alone can reach; 0: any that is free"""
    browser: bool = True
    """open the page in a browser"""


@dataclass
class WatchSettings(PageSettings):
    """Watch trained agents play, with their attention."""

    run: Annotated[tuple[PathText, ...], tyro.conf.Positional] = ()
    """folder of a run of rl-attn ppo, or several"""
    checkpoint: Literal["latest", "best"] = "latest"
    """which checkpoint"""
    policy: Literal["sample", "greedy"] = "sample"
    """draw actions from the policy, or take the likeliest one"""
    window: bool = False
    """in a window of OpenCV's, not on a page (needs opencv-python in place of
    opencv-python-headless)"""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N"""


@command(WatchSettings, "rl-attn watch")
def main(args: WatchSettings) -> int:
    if not args.run:
        raise UserError("no run is given: rl-attn watch runs/DefendCenter/...")
    for run in args.run:
        if not Path(run).is_dir():
            raise UserError(f"run folder {run} does not exist")
    from rl_attn.live.command import on_a_page
    from rl_attn.live.show import Show
    from rl_attn.live.window import show_in_window
    from rl_attn.rl.loading import load
    from rl_attn.run.device import pick_device

    device = pick_device(args.device)
    players = {Path(run).name: load(Path(run), args.checkpoint, device) for run in args.run}
    if len(players) < len(args.run):
        raise UserError("two of the runs have the same name: watch each run once")
    show = Show(players, greedy=args.policy == "greedy")
    about = f"Playing {', '.join(dict.fromkeys(p.settings.env for p in players.values()))}."
    if not args.window:
        return on_a_page(show, "rl-attn watch", about, args.port, args.browser)
    with show:
        return show_in_window(show)


if __name__ == "__main__":
    run_command(main)
