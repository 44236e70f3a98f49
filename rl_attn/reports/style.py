"""One look for all figures: colours that the colour-blind can tell apart, markers besides them.

The palette is Okabe and Ito's (2008); the baseline is gray. A figure becomes PNG and PDF for
papers, and an SVG whose ink follows the page's theme.
"""

import io
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

P = ParamSpec("P")

_INK, _RULE = "#1f2430", "#d5d9e0"

_BASELINE = "#737a87"
_COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_MARKERS = ("o", "s", "D", "^", "v", "P", "X")
_DASHES = ("-", "--", "-.", ":")

_RC = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.facecolor": "none",
    "grid.color": _RULE,
    "grid.linewidth": 0.6,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
    "text.parse_math": False,  # names come from files: a dollar is a dollar
    "svg.hashsalt": "rl-attn",  # the same figure gives the same bytes
    "pdf.fonttype": 42,
}


@dataclass(frozen=True)
class Look:
    """How a method is drawn, in every figure alike."""

    color: str
    marker: str
    dashes: str


@dataclass(frozen=True)
class Picture:
    """A figure in the formats that are written, and for the page."""

    png: bytes
    pdf: bytes
    svg: str


def looks(methods: Sequence[str]) -> dict[str, Look]:
    """The baseline, which is the first, gray; the others in the order of the palette."""
    found = {}
    for i, method in enumerate(methods):
        color = _COLOURS[(i - 1) % len(_COLOURS)] if i else _BASELINE
        found[method] = Look(color, _MARKERS[i % len(_MARKERS)], _DASHES[i % len(_DASHES)])
    return found


def drawn(draw: Callable[P, Figure]) -> Callable[P, Picture]:
    """A function that draws a figure becomes one that gives it in all formats."""

    @wraps(draw)
    def picture(*args: P.args, **kwargs: P.kwargs) -> Picture:
        with matplotlib.rc_context(_RC):
            figure = draw(*args, **kwargs)
            figure.draw_without_rendering()  # lays it out, once for all formats
            figure.set_layout_engine("none")
            return Picture(
                png=_saved(figure, "png", dpi=180, metadata={"Software": None}),
                pdf=_saved(figure, "pdf", metadata={"CreationDate": None}),
                svg=_for_page(_saved(figure, "svg", metadata={"Date": None}), draw.__name__),
            )

    return picture


def panels(
    count: int, columns: int = 4, size: tuple[float, float] = (2.7, 2.1)
) -> tuple[Figure, list[Axes]]:
    """A figure with `count` axes in rows of at most `columns`, and those axes."""
    columns = min(count, columns)
    rows = -(-count // columns)
    width = max(size[0] * columns, 5.0)
    figure = Figure(figsize=(width, size[1] * rows + 0.5), layout="constrained")
    axes: list[Axes] = list(figure.subplots(rows, columns, squeeze=False).flat)
    for spare in axes[count:]:
        spare.set_axis_off()
    return figure, axes[:count]


def named_rows(axis: Axes, names: Sequence[str], room: int = 0) -> None:
    """Names down the y axis, the first on top; `room` for so many, so that panels match."""
    spare = max(0, room - len(names)) / 2
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.4 + spare, -0.6 - spare)
    axis.grid(axis="y", visible=False)
    axis.tick_params(axis="y", length=0)


def _saved(figure: Figure, format: str, **options: object) -> bytes:
    paper = "none" if format == "svg" else "white"
    buffer = io.BytesIO()
    figure.savefig(buffer, format=format, facecolor=paper, **options)
    return buffer.getvalue()


def _for_page(svg: bytes, name: str) -> str:
    """The SVG element alone: ink and rules in the page's colours, fluid size, ids of its own."""
    text = svg.decode("utf-8")
    head, body = text[text.index("<svg") :].split(">", 1)
    width = float(re.search(r'width="([\d.]+)pt"', head)[1])
    head = re.sub(r' (width|height)="[\d.]+pt"', "", head)
    head += f' style="width:100%;max-width:{1.45 * width:.0f}px;min-width:{0.8 * width:.0f}px"'
    unique = f"{name}-{zlib.crc32(svg):x}"
    body = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{unique}-", body)
    return f"{head}>{body}".replace(_INK, "currentColor").replace(_RULE, "var(--rule)")
