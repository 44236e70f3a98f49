"""Attention of the methods side by side on the same test pictures (CAMAL, Fig. 3, 10 and 11)."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from rl_attn.pictures import attended, enlarged, rgb_of, scale_of, tinted
from rl_attn.reports.gallery import Captioned, attention_grid
from rl_attn.reports.parts import Plate
from rl_attn.reports.study import Study
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
    plates = []
    for task in study.tasks:
        for methods in _groups({m: _sample(study, task, m) for m in study.methods}):
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


def _sample(study: Study, task: str, method: str) -> Sample:
    """What the first run that left any has."""
    for cell in study.of(task, method):
        found = read_arrays(study, cell, "sample", KEYS)
        if found:
            return found
    return {}


def _groups(samples: dict[str, Sample]) -> list[dict[str, Sample]]:
    """Methods by the pictures that they were tested on."""
    groups: list[dict[str, Sample]] = []
    for method, sample in samples.items():
        if not sample:
            continue
        same = (g for g in groups if _same(next(iter(g.values())), sample))
        group = next(same, None)
        if group is None:
            groups.append({method: sample})
        else:
            group[method] = sample
    return groups


def _same(one: Sample, other: Sample) -> bool:
    return all(np.array_equal(one[key], other[key]) for key in ("frames", "masks"))


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
