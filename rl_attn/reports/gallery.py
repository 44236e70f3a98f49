"""Pictures of attention side by side (CAMAL, Fig. 11), and those that runs left behind."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from PIL import Image, UnidentifiedImageError

from rl_attn.reports.parts import Plate
from rl_attn.reports.study import Cell, Study
from rl_attn.reports.style import drawn

#: Pictures of one run that are shown.
_PER_RUN = 4


#: A picture (H, W, 3) uint8 and what stands under it.
Captioned = tuple[np.ndarray, str]


@drawn
def attention_grid(
    rows: Sequence[tuple[str, Sequence[Captioned]]], heads: Sequence[str], bar: bool = False
) -> Figure:
    """Rows of pictures under common heads.

    Args:
        rows: each row's name and its pictures; a row may be shorter than the widest.
        heads: what stands over each column.
        bar: with a bar of the maps' colours.
    """
    height = 1.75 * len(rows) + 0.4
    figure = Figure(figsize=(2.3 * len(heads) + 0.3, height), layout="constrained")
    axes = figure.subplots(len(rows), len(heads), squeeze=False)
    for i, (name, pictures) in enumerate(rows):
        for j, axis in enumerate(axes[i]):
            axis.grid(visible=False)
            axis.set_xticks([])
            axis.set_yticks([])
            axis.spines[:].set_visible(False)
            if j < len(pictures):
                picture, caption = pictures[j]
                axis.imshow(picture, interpolation="none")
                axis.set_xlabel(caption, fontsize=8)
            if i == 0:
                axis.set_title(heads[j])
        axes[i][0].set_ylabel(name)
    if bar:
        colours = ScalarMappable(Normalize(0, 1), "inferno")
        figure.colorbar(colours, ax=axes, fraction=0.02, pad=0.01, label="attention")
    return figure


def picture_plates(study: Study) -> list[Plate]:
    """For commands without games: `attention/*.png` of the first run of each method, by task."""
    plates = []
    for number, task in enumerate(study.tasks):
        found = {method: _pictures(study, task, method) for method in study.methods}
        found = {method: pictures for method, pictures in found.items() if pictures}
        if not found:
            continue
        widest = max(len(pictures) for pictures in found.values())
        plates.append(
            Plate(
                name=f"attention_{number}",
                title=f"Attention: {task}",
                caption="Pictures that the first run of each method left, in the order of their "
                "names.",
                alt=f"Attention pictures of {', '.join(found)} on {task}",
                draw=partial(attention_grid, list(found.items()), [""] * widest),
            )
        )
    return plates


def _pictures(study: Study, task: str, method: str) -> list[Captioned]:
    """The first pictures of the first run that has any, with their names."""

    def pictures(cell: Cell) -> list[Captioned]:
        found = []
        for file in sorted((cell.path / "attention").glob("*.png"))[:_PER_RUN]:
            try:
                with Image.open(file) as image:
                    found.append((np.asarray(image.convert("RGB")), file.stem))
            except (UnidentifiedImageError, OSError, ValueError):
                study.problems.append(f"{cell.name}/attention/{file.name} is not a picture")
        return found

    return study.first(task, method, pictures) or []
