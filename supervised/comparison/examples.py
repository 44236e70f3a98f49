"""Attention of the methods side by side on the same test pictures (CAMAL, Fig. 3, 10 and 11)."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from rl_attn.pictures import attended, enlarged, rgb_of, scale_of, tinted
from rl_attn.reports.gallery import Captioned, attention_grid
from rl_attn.reports.parts import Plate
from rl_attn.reports.study import Cell, Study
from rl_attn.supervised.comparison.arrays import read_arrays

KEYS = ("frames", "masks", "attention")
#: Pictures of a task.
ROWS = 4
#: Pictures are enlarged by whole pixels until they are this wide, so that maps look smooth.
SIDE = 224

Sample = dict[str, np.ndarray]


def example_plates(study: Study) -> list[Plate]:
    """A figure for each task and each set of test pictures: methods that are trained on other
    versions of a data set have other ones, and stand in a figure of their own."""

    def sample(cell: Cell) -> Sample:
        return read_arrays(study, cell, "sample", KEYS)

    plates = []
    for task in study.tasks:
        samples = {m: study.first(task, m, sample) for m in study.methods}
        for methods in _groups(samples):
            named = f" on {task}" if len(study.tasks) > 1 else ""
            plates.append(
                Plate(
                    name=f"examples_{len(plates)}",
                    title=f"Attention: {', '.join(methods)}{named}",
                    caption="Test pictures with their masks in green, and the Grad-CAM of the true "
                    f"class: the first {study.run_name} of each method. The pictures are the first "
                    "of each class that has a mask; they were not chosen by hand.",
                    alt=f"Attention maps of {', '.join(methods)} on the same test pictures",
                    draw=partial(attention_grid, _rows(methods), ["mask", *methods], bar=True),
                )
            )
    return plates


def _groups(samples: dict[str, Sample | None]) -> list[dict[str, Sample]]:
    """Methods by the pictures that they were tested on."""
    groups: list[dict[str, Sample]] = []
    for method, sample in samples.items():
        if not sample:
            continue
        for group in groups:
            first = next(iter(group.values()))
            if all(np.array_equal(first[key], sample[key]) for key in ("frames", "masks")):
                group[method] = sample
                break
        else:
            groups.append({method: sample})
    return groups


def _rows(methods: dict[str, Sample]) -> Sequence[tuple[str, list[Captioned]]]:
    first = next(iter(methods.values()))
    rows = []
    for i in range(min(ROWS, len(first["frames"]))):
        frame, mask = first["frames"][i], first["masks"][i]
        scale = scale_of(frame.shape[1], SIDE)
        rgb, on = enlarged(rgb_of(frame), scale), enlarged(mask > 0.5, scale)
        pictures = [(tinted(rgb, on), "")]
        for sample in methods.values():
            caption = str(sample["captions"][i]) if "captions" in sample else ""  # of old runs none
            pictures.append((attended(rgb, sample["attention"][i], on), caption))
        rows.append(("", pictures))
    return rows
