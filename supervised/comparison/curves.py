"""Deletion and insertion curves with bands (CAMAL, Hundal et al. 2026, Fig. 5 and 12)."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rl_attn.reports.parts import Plate
from rl_attn.reports.study import Cell, Study
from rl_attn.reports.style import drawn, looks
from rl_attn.statistics import mean_interval

KINDS = {"deletion": "removed", "insertion": "inserted"}
ALL = "all"
COLUMNS = ["curve", "task", "method", "share", "mean", "low", "high", "runs"]


def faithfulness_curves(study: Study) -> pd.DataFrame:
    """Mean confidence over runs and its 95 % interval, at each share of pixels.

    Of each task, and of all of them together ("all", as in the paper) where there are several;
    columns: see COLUMNS.
    """
    groups: dict[tuple[str, str], list[pd.DataFrame]] = {}
    for cell in study.cells:
        table = _read(study, cell)
        if table is not None:
            for task in dict.fromkeys((cell.task, ALL)) if len(study.tasks) > 1 else (cell.task,):
                groups.setdefault((task, cell.method), []).append(table)
    parts = [
        _averaged(runs, kind).assign(curve=kind, task=task, method=method)
        for (task, method), runs in groups.items()
        for kind in KINDS
    ]
    return pd.concat(parts, ignore_index=True)[COLUMNS] if parts else pd.DataFrame(columns=COLUMNS)


def curve_plates(study: Study) -> list[Plate]:
    """One figure; none where no run measured its faithfulness."""
    curves = faithfulness_curves(study)
    if curves.empty:
        return []
    shown = ALL if len(study.tasks) > 1 else study.tasks[0]
    over = f"{study.run_name}s" + (" and tasks" if shown == ALL else "")
    known = [cell for cell in study.cells if _file(cell).is_file()]
    return [
        Plate(
            name="faithfulness",
            title="Faithfulness: deletion and insertion",
            caption="Softmax probability of the true class while the most attended pixels turn "
            "black (left) or come back from a black picture (right), by the Grad-CAM of each "
            f"network. Mean over {over} and its 95 % interval ({len(known)} runs). Faithful "
            "attention falls fast on the left and rises fast on the right; a network that is sure "
            "of nothing has flat curves. The CSV holds each task's.",
            alt="Confidence of each method against the share of pixels removed and inserted; the "
            "numbers are in the CSV below",
            draw=partial(_figure, curves[curves["task"] == shown], study.methods),
            data=curves,
        )
    ]


def _file(cell: Cell):
    return cell.path / "faithfulness.csv"


def _read(study: Study, cell: Cell) -> pd.DataFrame | None:
    file = _file(cell)
    if cell.state != "finished" or not file.is_file():
        return None
    try:
        return pd.read_csv(file)[["share", *KINDS]].astype(float)
    except (ValueError, KeyError, OSError) as error:
        study.problems.append(f"{cell.name}/{file.name} cannot be read: {error}")
        return None


def _averaged(runs: Sequence[pd.DataFrame], kind: str) -> pd.DataFrame:
    """Runs that were measured at other shares are read off at those of the first one."""
    shares = runs[0]["share"].to_numpy()
    values = np.stack([np.interp(shares, run["share"], run[kind]) for run in runs])  # (runs, P)
    rows = [mean_interval(column) for column in values.T]
    table = pd.DataFrame(rows, columns=["mean", "low", "high"])
    return table.assign(share=shares, runs=len(runs))


@drawn
def _figure(curves: pd.DataFrame, methods: Sequence[str]) -> Figure:
    figure = Figure(figsize=(7.2, 3.1), layout="constrained")
    axes, style = figure.subplots(1, 2, sharey=True), looks(methods)
    for axis, (kind, word) in zip(axes, KINDS.items(), strict=True):
        some = curves[curves["curve"] == kind]
        for method, rows in some.groupby("method", sort=False):
            look = style[method]
            area = np.trapezoid(rows["mean"], rows["share"])
            label = f"{method} ({area:.3f})"
            x = 100 * rows["share"]
            axis.plot(x, rows["mean"], color=look.color, linestyle=look.dashes, label=label)
            axis.fill_between(x, rows["low"], rows["high"], color=look.color, alpha=0.18, lw=0)
        axis.set_title(kind.capitalize())
        axis.set_xlabel(f"most attended pixels {word} (%)")
        axis.legend(fontsize=7.5, title="area under the curve", title_fontsize=7.5)
    axes[0].set_ylabel("confidence")
    axes[0].set_ylim(0, None)
    return figure
