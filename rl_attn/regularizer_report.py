"""Table, CSV and figure of the comparison of regularisers (CAMAL, Table 4 and Fig. 9)."""

import csv
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from itertools import cycle, product
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from rich.table import Table
from scipy import stats
from torch import Tensor

from rl_attn.attention.deviations import KINDS, deviations
from rl_attn.run.ending import console
from rl_attn.statistics import wilcoxon

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Patch

CORRELATIONS = ("Spearman", "Pearson")

#: Fig. 9's colours: mask and attention, the mask alone, attention alone.
_BOTH, _MISSED, _SPURIOUS = (245, 158, 66), (76, 120, 200), (150, 90, 180)
_COLORS = {"mask and attention": _BOTH, "mask alone": _MISSED, "attention alone": _SPURIOUS}

#: The first regulariser's line is broad and lies below the others, which may cover it exactly.
_STYLES: tuple[dict[str, Any], ...] = (
    {"linewidth": 4, "alpha": 0.6},
    *({"linestyle": s} for s in ("-", "--", "-.", ":")),
)

#: A response that moves less is taken for constant.
_STILL = 1e-6


@dataclass(frozen=True)
class Response:
    """What the regularisers say to one mask under one kind of deviation."""

    severities: np.ndarray  # (n,)
    values: dict[str, np.ndarray]  # name -> (n,)


@dataclass(frozen=True)
class Row:
    """Correlation of severity with one regulariser's response, over masks."""

    perturbation: str
    correlation: str
    regularizer: str
    mean: float  # over the masks on which it responds at all; NaN: on none
    std: float
    responding: float  # share of such masks
    masks: int
    p_camal_larger: float  # one-tailed Wilcoxon over masks on which both respond


def correlate(response: Response, name: str, correlation: str) -> float:
    """NaN where the response is constant."""
    values = np.asarray(response.values[name], dtype=np.float64)
    if np.ptp(values) < _STILL:
        return float("nan")
    compute: Callable[..., Any] = stats.spearmanr if correlation == "Spearman" else stats.pearsonr
    return float(compute(response.severities, values).statistic)


def summarize(found: list[dict[str, Response]]) -> list[Row]:
    """One row for each perturbation, correlation and regulariser.

    Args:
        found: for each mask, kind -> Response; the first regulariser is the one to beat.
    """
    names = list(found[0][KINDS[0]].values)
    rows = []
    for kind, correlation in product(KINDS, CORRELATIONS):
        table = np.array([[correlate(one[kind], n, correlation) for n in names] for one in found])
        for name, column in zip(names, table.T, strict=True):
            known = column[~np.isnan(column)]
            both = ~np.isnan(table[:, 0]) & ~np.isnan(column)
            p = wilcoxon(table[both, 0], column[both]).p_value if both.any() else float("nan")
            mean, std = (known.mean(), known.std()) if len(known) else (np.nan, np.nan)
            share = len(known) / len(found)
            row = (kind, correlation, name, float(mean), float(std), share, len(found), p)
            rows.append(Row(*row))
    return rows


def write_csv(rows: list[Row], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def show(rows: list[Row], title: str) -> None:
    """Table 4: mean and standard deviation, a star where the first is significantly higher."""
    names = list(dict.fromkeys(row.regularizer for row in rows))
    table = Table("", *names, title=title)
    for kind, correlation in product(KINDS, CORRELATIONS):
        cells = [_cell(r) for r in rows if (r.perturbation, r.correlation) == (kind, correlation)]
        table.add_row(f"{kind}, {correlation}", *cells)
    console().print(table)
    print(f"-: no response. *: {names[0]} is higher, one-tailed Wilcoxon p < 0.05.")


def _cell(row: Row) -> str:
    if np.isnan(row.mean):
        return "-"
    star = "*" if row.p_camal_larger < 0.05 else ""
    share = "" if row.responding == 1 else f" ({row.responding:.0%} of masks)"
    return f"{row.mean:.2f}±{row.std:.2f}{star}{share}"


def draw(mask: Tensor, found: list[dict[str, Response]], path: Path) -> None:
    """Fig. 9: one mask at three severities of each kind, and all masks' responses.

    Args:
        mask: (H, W), the example.
    """
    figure, axes = plt.subplots(3, 4, figsize=(13, 7.5), layout="constrained")
    for row, kind in zip(axes, KINDS, strict=True):
        severities, maps = deviations(mask, kind)
        on, maps, last = mask.numpy() > 0.5, maps.numpy() > 0.5, len(severities) - 1
        window = _window(np.concatenate([on[None], maps]))
        for axis, index in zip(row, (max(1, last // 4), max(1, last // 2), last), strict=False):
            axis.imshow(_overlap(on[window], maps[index][window]))
            axis.set_title(f"{kind} by {int(severities[index])} px", fontsize=9)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_color("lightgray")
        _draw_responses(row[3], [one[kind] for one in found])
    axes[0, 3].set_title("response, scaled on each mask", fontsize=9)
    axes[0, 3].legend(fontsize=7, frameon=False)
    axes[2, 3].set_xlabel("severity, share of the largest", fontsize=9)
    patches = [
        Patch(color=(r / 255, g / 255, b / 255), label=name) for name, (r, g, b) in _COLORS.items()
    ]
    figure.legend(handles=patches, loc="outside lower left", ncols=3, fontsize=9, frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _draw_responses(axis: Axes, some: list[Response]) -> None:
    """Each regulariser's response, from the least to the most on each mask, averaged over masks."""
    shares = np.linspace(0, 1, 21)
    for name, style in zip(some[0].values, cycle(_STYLES), strict=False):
        curves = [
            np.interp(shares, r.severities / r.severities[-1], _scaled(r, name)) for r in some
        ]
        mean, spread = np.mean(curves, axis=0), np.std(curves, axis=0)
        (line,) = axis.plot(shares, mean, label=name, **style)
        axis.fill_between(shares, mean - spread, mean + spread, color=line.get_color(), alpha=0.1)
    axis.set_ylim(-0.1, 1.1)
    axis.tick_params(labelsize=8)


def _scaled(response: Response, name: str) -> np.ndarray:
    values = response.values[name]
    return (values - values.min()) / max(np.ptp(values), _STILL)


def _window(maps: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns round all that any of the maps (n, H, W) has on, with some margin."""
    rows, columns = (np.flatnonzero(maps.any(axis=(0, axis))) for axis in (2, 1))
    down, across = (slice(max(0, line[0] - 8), line[-1] + 9) for line in (rows, columns))
    return down, across


def _overlap(mask: np.ndarray, attention: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 in Fig. 9's colours on white."""
    picture = np.full((*mask.shape, 3), 255, np.uint8)
    picture[mask & attention] = _BOTH
    picture[mask & ~attention] = _MISSED
    picture[attention & ~mask] = _SPURIOUS
    return picture
