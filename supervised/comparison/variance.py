"""Where attention varies over the test pictures, beside where the masks do (CAMAL, Fig. 3)."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from matplotlib.figure import Figure

from rl_attn.reports.parts import Plate
from rl_attn.reports.study import Study
from rl_attn.reports.style import drawn
from rl_attn.supervised.comparison.arrays import read_arrays

#: Count of pictures, mean (H, W) and variance (H, W).
Moments = tuple[int, np.ndarray, np.ndarray]
KEYS = ("count", "mean", "variance")
MASKS = "masks"


def merged(parts: Sequence[Moments]) -> Moments:
    """The moments of all pictures together: the mean variance within runs, and that of means."""
    counts, means, variances = (np.array(c, np.float64) for c in zip(*parts, strict=True))
    weights = (counts / counts.sum())[:, None, None]
    mean = (weights * means).sum(0)
    variance = (weights * (variances + (means - mean) ** 2)).sum(0)
    return int(counts.sum()), mean, variance


def variance_plates(study: Study) -> list[Plate]:
    """One figure of the tasks whose runs left moments; none where no run did."""
    rows = {task: _row(study, task) for task in study.tasks}
    rows = {task: row for task, row in rows.items() if row}
    if not rows:
        return []
    return [
        Plate(
            name="variance",
            title="Spatial variance of attention",
            caption="Variance of attention at each pixel over the test pictures of all "
            f"{study.run_name}s, and left of it that of the masks. Attention that follows the "
            "object varies where the masks do. Each panel has its own scale, from 0 to the number "
            "over it.",
            alt=f"Maps of the variance of attention of {', '.join(study.methods)}",
            draw=partial(_figure, rows, [MASKS, *study.methods]),
        )
    ]


def _row(study: Study, task: str) -> dict[str, np.ndarray]:
    """Method (or "masks") -> variance (H, W)."""
    found: dict[str, np.ndarray] = {}
    masks: list[Moments] = []
    for method in study.methods:
        parts = []
        for cell in study.of(task, method):
            arrays = read_arrays(study, cell, "variance", KEYS)
            if arrays:
                parts.append(_moments(arrays, ""))
            if f"mask_{KEYS[-1]}" in arrays:
                masks.append(_moments(arrays, "mask_"))
        if parts and len({mean.shape for _, mean, _ in parts}) == 1:
            found[method] = merged(parts)[2]
    if masks and len({mean.shape for _, mean, _ in masks}) == 1:
        found = {MASKS: merged(masks)[2], **found}
    return found


def _moments(arrays: dict[str, np.ndarray], prefix: str) -> Moments:
    count, mean, variance = (arrays[prefix + key] for key in KEYS)
    return int(count), mean, variance


@drawn
def _figure(rows: dict[str, dict[str, np.ndarray]], columns: Sequence[str]) -> Figure:
    columns = [name for name in columns if any(name in row for row in rows.values())]
    figure = Figure(figsize=(1.7 * len(columns) + 0.3, 1.95 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), len(columns), squeeze=False)
    for line, (task, row) in zip(axes, rows.items(), strict=True):
        for axis, name in zip(line, columns, strict=True):
            axis.set_xticks([])
            axis.set_yticks([])
            axis.spines[:].set_visible(False)
            if name in row:
                top = row[name].max()
                axis.imshow(row[name], cmap="inferno", vmin=0, vmax=top or 1)
                axis.set_title(f"{name} ({top:.2g})", fontsize=8.5)
        if len(rows) > 1:
            line[0].set_ylabel(task)
    return figure
