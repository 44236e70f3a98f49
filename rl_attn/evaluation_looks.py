"""What `rl_attn.evaluate` does with --looks and --twins: play, print, write down."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from rl_attn.envs.variations import Variation, split
from rl_attn.evaluate import EvaluationSettings
from rl_attn.rl.held_out import play_looks, variations_of
from rl_attn.rl.play import Played, Player
from rl_attn.rl.twins import as_dict, groups, play_twins, summary, write_csv
from rl_attn.rl.video import TwinVideo
from rl_attn.run.ending import console
from rl_attn.run.progress import bar
from rl_attn.statistics import Interval, mean_interval


def under_looks(
    player: Player,
    args: EvaluationSettings,
    seeds: list[int],
    plain: list[Played] | None,
    out: Path,
    how: dict[str, Any],
) -> dict[str, Any]:
    """Returns under other looks, printed, in looks.csv, and for the JSON."""
    looks = variations_of(player).select(args.looks, args.looks_per_axis) if args.looks else {}
    how = {"wads": args.wads, "plain": plain, **how}
    with bar("playing under other looks", sum(map(len, looks.values())) + len(args.wads)) as done:
        returns = play_looks(player, args.num_envs, seeds, looks, progress=done, **how)
    returns.write_csv(out / "looks.csv")
    table = Table(
        "looks", "", "return", "drop from plain", "IQM", title="returns under other looks"
    )
    table.add_row("plain", "1", _short(mean_interval(returns.plain.tolist())), "", "")
    for row in returns.rows():
        if not row.look:
            numbers = (_short(row.episode_return), _short(row.drop), str(row.iqm))
            table.add_row(row.axis or "all", str(row.looks), *numbers)
    console().print(table)
    if returns.faults:
        print(f"{returns.faults} of the episodes were cut short by a fault and are left out")
    return returns.as_dict()


def beside_twins(
    player: Player, args: EvaluationSettings, seeds: list[int], out: Path, how: dict[str, Any]
) -> dict[str, Any]:
    """The episodes beside their twins, printed, in twins.csv, as a video, and for the JSON."""
    known = variations_of(player)
    looks = twin_looks(player, args)
    first = groups(looks)[0]
    with ExitStack() as stack:
        video = None
        if args.video:
            names = [known.name(variation) for _, variation in first]
            environment = player.environment
            made = TwinVideo(out / "twins.mp4", names, environment.fps, environment.action_names)
            video = stack.enter_context(made)
        total = len(seeds) * len(groups(looks))
        progress = stack.enter_context(bar("playing twins", total))
        twins = play_twins(player, seeds, looks, look=video, progress=progress, **how)
    write_csv(twins, out / "twins.csv")
    names = ("flips", "KL", "dV/sd", "IoU plain", "IoU", "pixels")
    table = Table("axis", *names, title="the same episodes, frame by frame")
    table.caption = "* changes the targets themselves, as a control"
    for axis, measured in summary(twins).items():
        control = "*" if axis in known.target_axes else ""
        table.add_row(axis + control, *(_short(value) for value in measured.values()))
    console().print(table)
    for twin in twins:
        if twin.parted:
            print(f"no twin: seed {twin.seed} under {twin.look}, {twin.parted}")
    lacking = [known.impossible[a] for a in known.target_axes if a in known.impossible]
    for reason in dict.fromkeys(lacking):
        print(f"no control: {reason}")
    return as_dict(twins, known)


def twin_looks(player: Player, args: EvaluationSettings) -> dict[str, list[Variation]]:
    """Those of --looks, and as a control those that change the targets themselves."""
    known, text = variations_of(player), args.looks or "test"
    looks = known.select(text, args.looks_per_axis)
    part = split(text)[0]
    controls = [axis for axis in known.controls if getattr(known.axes[axis], part)]
    if controls:
        looks |= known.select(f"{part}:{','.join(controls)}", args.looks_per_axis)
    return looks


def _short(value: Interval) -> str:
    if np.isnan(value.mean):
        return "-"
    spread = value.high - value.mean
    return f"{value.mean:.2g}" if np.isnan(spread) else f"{value.mean:.2g} ±{spread:.1g}"
