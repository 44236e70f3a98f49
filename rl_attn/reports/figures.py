"""The figures of a report; each function gives a `Picture` and draws what analysis computed."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rl_attn.reports.analysis import ALL_TASKS
from rl_attn.reports.scores import Scores
from rl_attn.reports.style import Look, drawn, looks, named_rows, panels

AGGREGATES = {
    "mean": "Mean",
    "median": "Median",
    "iqm": "IQM",
    "optimality_gap": "Optimality gap",
}


@drawn
def comparison(
    aggregates: pd.DataFrame, improvements: pd.DataFrame, title: str, methods: Sequence[str]
) -> Figure:
    """CAMAL's Fig. 4 and 6: left the mean with its bootstrap interval, right P(method > baseline).

    Args:
        aggregates: of one metric and scale.
        improvements: of the same metric.
    """
    means = aggregates[aggregates["aggregate"] == "mean"]
    pairs = improvements[improvements["task"] == ALL_TASKS]
    room = max(len(means), len(pairs), 2)
    height = 1.0 + 0.4 * room
    figure = Figure(figsize=(8.6, height), layout="constrained")
    left, right = figure.subplots(1, 2)
    style = looks(methods)
    _bands(left, means, "value", style)
    named_rows(left, list(means["method"]), room)
    left.set_xlabel(f"mean {title} over tasks and runs")
    _bands(right, pairs, "probability", style)
    names = [f"{pair.method} > {pair.baseline}" for pair in pairs.itertuples()]
    named_rows(right, names, room)
    right.axvline(0.5, color=_line_colour(right), linestyle="--", linewidth=1)
    right.set_xlim(-0.02, 1.02)
    right.set_xlabel("probability of improvement")
    for y, (_, pair) in enumerate(pairs.iterrows()):
        right.annotate(
            pair["verdict"],
            (1, y),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    return figure


@drawn
def aggregate_panels(aggregates: pd.DataFrame, title: str, methods: Sequence[str]) -> Figure:
    """Mean, median, IQM and optimality gap side by side, each with its interval."""
    names = [name for name in AGGREGATES if name in set(aggregates["aggregate"])]
    style = looks(methods)
    figure, axes = panels(len(names), size=(2.3, 0.6 + 0.3 * aggregates["method"].nunique()))
    for i, (axis, name) in enumerate(zip(axes, names, strict=True)):
        rows = aggregates[aggregates["aggregate"] == name]
        _bands(axis, rows, "value", style)
        named_rows(axis, list(rows["method"]) if i == 0 else [""] * len(rows))
        axis.set_title(AGGREGATES[name] + (" (less is better)" if name == "optimality_gap" else ""))
        axis.locator_params(axis="x", nbins=4)
    figure.supxlabel(title, fontsize=9)
    return figure


@drawn
def task_panels(scores: Scores, means: pd.DataFrame, spread: str = "interval") -> Figure:
    """Each task by itself: runs as dots, the mean with its interval, the reference dotted.

    Args:
        means: `analysis.task_means` of the scores.
        spread: "interval", or "std" for mean +- standard deviation.
    """
    methods = scores.methods
    style = looks(methods)
    size = (2.7, 0.75 + 0.3 * len(methods))
    figure, axes = panels(len(scores.tasks), size=size)
    for i, (axis, task) in enumerate(zip(axes, scores.tasks, strict=True)):
        rows = means[means["task"] == task].set_index("method")
        for y, method in enumerate(methods):
            look, runs, row = style[method], scores.runs(task, method), rows.loc[method]
            axis.scatter(runs, np.full(len(runs), y), s=9, color=look.color, alpha=0.45, lw=0)
            low, high = row["low"], row["high"]
            if spread == "std":
                low, high = row["mean"] - row["std"], row["mean"] + row["std"]
            axis.plot([low, high], [y, y], color=look.color)
            axis.plot(row["mean"], y, marker=look.marker, color=look.color, markersize=5.5)
        if task in scores.references and scores.scale == "raw":
            axis.axvline(
                scores.references[task], color=_line_colour(axis), linestyle=":", linewidth=1
            )
        named_rows(axis, methods if i % 4 == 0 else [""] * len(methods))
        axis.set_title(task)
        axis.locator_params(axis="x", nbins=4)
    figure.supxlabel(scores.title, fontsize=9)
    return figure


@drawn
def profile_curves(profiles: pd.DataFrame, title: str, methods: Sequence[str]) -> Figure:
    """Performance profiles: share of runs above each score."""
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axis, style = figure.subplots(), looks(methods)
    for method, rows in profiles.groupby("method", sort=False):
        _curve(axis, rows["threshold"], rows.rename(columns={"share": "mean"}), method, style)
    axis.set_ylim(-0.02, 1.02)
    axis.set_xlabel(f"{title} τ")
    axis.set_ylabel("share of runs above τ")
    figure.legend(loc="outside right upper", fontsize=8)
    return figure


@drawn
def curve_panels(curves: pd.DataFrame, label: str, methods: Sequence[str]) -> Figure:
    """Learning curves of each task: mean over runs with its interval."""
    tasks, style = list(dict.fromkeys(curves["task"])), looks(methods)
    figure, axes = panels(len(tasks))
    for axis, task in zip(axes, tasks, strict=True):
        for method, rows in curves[curves["task"] == task].groupby("method", sort=False):
            _curve(axis, rows["step"], rows, method, style)
        axis.set_title(task)
        axis.locator_params(axis="x", nbins=4)
        axis.xaxis.set_major_formatter(lambda x, _: _steps(x))
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=min(6, len(names)), fontsize=8)
    figure.supxlabel("steps", fontsize=9)
    figure.supylabel(label, fontsize=9)
    return figure


def _bands(axis: Axes, rows: pd.DataFrame, value: str, style: dict[str, Look]) -> None:
    """One shaded interval a row, with a tick at its estimate."""
    axis.use_sticky_edges = False  # else a bar ends the axis, and looks cut off
    axis.margins(x=0.08)
    for y, (_, row) in enumerate(rows.iterrows()):
        look = style[row["method"]]
        if np.isfinite(row["low"]):
            width = row["high"] - row["low"]
            axis.barh(y, width, left=row["low"], height=0.56, color=look.color, alpha=0.35, lw=0)
        axis.plot([row[value]] * 2, [y - 0.28, y + 0.28], color=look.color, linewidth=2)
        axis.plot(row[value], y, marker=look.marker, color=look.color, markersize=5)


def _curve(
    axis: Axes, x: pd.Series, rows: pd.DataFrame, method: str, style: dict[str, Look]
) -> None:
    look = style[method]
    axis.plot(x, rows["mean"], color=look.color, linestyle=look.dashes, label=method)
    axis.fill_between(x, rows["low"], rows["high"], color=look.color, alpha=0.18, lw=0)


def _line_colour(axis: Axes) -> str:
    return axis.spines["left"].get_edgecolor()


def _steps(x: float) -> str:
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if abs(x) >= size:
            return f"{x / size:g}{unit}"
    return f"{x:g}"
