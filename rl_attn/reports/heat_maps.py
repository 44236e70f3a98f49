"""Heat maps: a metric over a grid of two hyper-parameters (Learning to Look, Yang et al. 2026,
Fig. 2), and what agents do under each look of a held-out set, a row for each method.
"""

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from rl_attn.reports.parts import Plate
from rl_attn.reports.study import Metric, Study
from rl_attn.reports.style import drawn
from rl_attn.reports.tables import number

#: Parts of a summary that have a value for each axis of looks: first and last word of their names,
#: the label, and what is better.
_LOOKS = (
    ("looks", "episode_return", "Return under each look", "higher"),
    ("twins", "flip", "Share of actions that change with the look", "lower"),
)


def grid_values(study: Study, metric: Metric) -> pd.DataFrame:
    """Means over runs: a row for each value of the first grid key, a column for each of the
    second; NaN where no run is finished."""
    rows, columns = (list(map(str, values)) for values in _axes(study).values())
    found: dict[tuple[str, str], list[float]] = {}
    for cell in study.cells:
        if metric.name in cell.summary:
            place = tuple(cell.values.values())
            found.setdefault(place, []).append(cell.summary[metric.name].mean)
    values = [[np.mean(found.get((r, c), [np.nan])) for c in columns] for r in rows]
    return pd.DataFrame(values, index=rows, columns=columns)


def heat_map_plates(study: Study, names: list[str]) -> list[Plate]:
    """A figure for each metric of `names` that any run has."""
    known = {metric.name: metric for metric in study.metrics}
    plates = []
    for name in names:
        metric = known.get(name, Metric(name, name.replace("_", " ")))
        values = grid_values(study, metric)
        if not values.notna().any(axis=None):
            study.problems.append(f"no run has a value of {metric.label}: no heat map of it")
            continue
        down, across = _axes(study)
        count = len(study.of(study.tasks[0], study.methods[0]))
        runs = f"mean over {count} {study.run_name}s" if count > 1 else f"one {study.run_name}"
        plates.append(
            Plate(
                name=f"heat_map_{metric.slug}",
                title=f"{metric.label} over {down} and {across}",
                caption=f"{metric.label} of each cell of the grid, {runs}; the best one is framed.",
                alt=f"Heat map of {metric.label}; the numbers are in the CSV below",
                draw=partial(_figure, values, metric, down, across),
                data=values.rename_axis(down).reset_index(),
            )
        )
    return plates


def look_plates(study: Study) -> list[Plate]:
    """For each task, what came out under each axis of looks, where the evaluations tell."""
    plates = []
    for task in study.tasks:
        for part, measure, label, better in _LOOKS:
            values = by_look(study, task, part, measure)
            if values.empty:
                continue
            metric = Metric(f"{part}_{task}", label, better=better)
            plates.append(
                Plate(
                    name=metric.slug,
                    title=f"{task}: {label[0].lower()}{label[1:]}",
                    caption=f"Mean over the {study.run_name}s of each method; {better} is better, "
                    "and the best of each column is framed.",
                    alt=f"{label} for each method; the numbers are in the CSV below",
                    draw=partial(_figure, values, metric, columns=True),
                    data=values.rename_axis("method").reset_index(),
                )
            )
    return plates


def by_look(study: Study, task: str, part: str, measure: str) -> pd.DataFrame:
    """Means over runs of the values PART/AXIS/MEASURE: a row for each method that has any, a column
    for each axis, the plain look first. Continuous actions have no likeliest one: no flips."""
    found: dict[str, dict[str, list[float]]] = {}
    for method in study.methods:
        for cell in study.of(task, method):
            for name, value in cell.summary.items():
                words = name.split("/")
                if (words[0], *words[2:]) == (part, measure) and np.isfinite(value.mean):
                    found.setdefault(method, {}).setdefault(words[1], []).append(value.mean)
    means = {
        method: {axis: float(np.mean(values)) for axis, values in axes.items()}
        for method, axes in found.items()
    }
    values = pd.DataFrame.from_dict(means, orient="index")
    return values[sorted(values.columns, key=lambda axis: axis != "plain")]


def _axes(study: Study) -> dict[str, list[str]]:
    """The two grid keys with their values, in the grid's order."""
    keys = list(study.cells[0].values)
    return {key: list(dict.fromkeys(cell.values[key] for cell in study.cells)) for key in keys}


@drawn
def _figure(
    values: pd.DataFrame, metric: Metric, down: str = "", across: str = "", columns: bool = False
) -> Figure:
    """The best is framed; with `columns` the best of each column."""
    named = 0.07 * max(len(str(name)) for name in values.index)
    size = (0.62 * values.shape[1] + 1.6 + named, 0.36 * values.shape[0] + 1.0)
    figure = Figure(figsize=size, layout="constrained")
    axis = figure.subplots()
    image = axis.imshow(values.to_numpy(), cmap="viridis", aspect="auto")
    axis.set_xticks(range(values.shape[1]), values.columns)
    axis.set_yticks(range(values.shape[0]), values.index)
    axis.set_xlabel(across)
    axis.set_ylabel(down)
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    _write_numbers(axis, values)
    scores = (metric.sign * values).fillna(-np.inf).to_numpy()
    best = scores == scores.max(axis=0 if columns else None)
    frame = {"fill": False, "edgecolor": "#d55e00", "linewidth": 2}
    for y, x in np.argwhere(best):
        axis.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, **frame))
    figure.colorbar(image, label="" if columns else metric.label)
    return figure


def _write_numbers(axis: Axes, values: pd.DataFrame) -> None:
    """Each cell's number, light on dark and dark on light."""
    low, high = np.nanmin(values), np.nanmax(values)
    middle = (low + high) / 2
    for y, x in np.ndindex(values.shape):
        value = values.iat[y, x]
        if np.isnan(value):
            continue
        ink = "black" if value > middle else "white"
        axis.text(x, y, number(value), ha="center", va="center", fontsize=7.5, color=ink)
