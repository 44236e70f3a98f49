"""Gender and Scene, with what people marked as factual and counterfactual.

Y. Gao, T. Sun, G. Bai, S. Gu, S. Hong, L. Zhao, RES: A robust framework for guiding visual
explanation, KDD 2022; both archives are linked from github.com/YuyangGao/RES. Unpacked they hold

    {train,val,test}/<class>/<name>.jpg       classes men, women or nature, urban; some folders
                                              carry a suffix (test/men_test)
    attention_label/*.csv                     img_idx, attention, img_check, ...

`img_idx` is the name without .jpg, `attention` a JSON matrix (224 x 224) of zeros and ones; rows
whose `img_check` is not "good" were rejected. A table with "counterfactual" in its name marks what
must be excluded, any other what must be included. About a fifth of the training pictures have one.

Masks are prompts: white factual, black counterfactual, grey (128) where nobody said anything, which
is all of a picture without annotation. A pixel marked as both is undecided: the original code
subtracts one map from the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from rl_attn.errors import UserError
from rl_attn.supervised.data.dataset import missing
from rl_attn.supervised.data.images import Problem, open_picture, report
from rl_attn.supervised.data.prepare.samples import Drawn, Sample, read_rows
from rl_attn.supervised.prompts import GREY

FOLDERS = {"train": "train", "val": "validation", "test": "test"}
CLASSES = {"gender": ("men", "women"), "scene": ("nature", "urban")}
_NAMES = {"gender": "gender_data", "scene": "places"}
WHERE = "Get the archive linked from https://github.com/YuyangGao/RES and unpack it there"


def res(name: str, source: Path) -> Iterator[Drawn]:
    """The pictures of "gender" or "scene", folder by folder.

    UserError: folders that are not there; every picture or annotation that cannot be read.
    """
    root = next((r for r in (source, source / _NAMES[name]) if (r / "train").is_dir()), None)
    if root is None:
        places = (f"{source}/train", f"{source}/{_NAMES[name]}/train")
        raise missing(name, places, WHERE)
    found = [(split, *item) for part, split in FOLDERS.items() for item in _pictures(root / part)]
    classes = CLASSES[name]
    absent = [c for c in classes if c not in {category for _, category, _ in found}]
    if absent:
        raise missing(name, (f"{root}/{{{','.join(FOLDERS)}}}/{c}/*.jpg" for c in absent), WHERE)
    marks = _annotations(root / "attention_label", name)
    problems = []
    for split, category, path in found:
        if category not in classes:
            continue
        try:
            size = open_picture(path).size
        except Problem as problem:
            problems.append(problem)
            continue
        prompt = marks.get(path.stem)
        image = f"{split}_{path.name}"  # a name may recur in another split
        yield Drawn(
            # a subject is a photograph, so that one that recurs is not divided by `fold`
            Sample(category, image, path.stem, split, prompt is not None),
            path,
            np.full(size[::-1], GREY, np.uint8) if prompt is None else _stretched(prompt, size),
        )
    report(problems)


def _pictures(folder: Path) -> list[tuple[str, Path]]:
    """(class, file) of one part."""
    return [
        (path.parent.name.partition("_")[0], path)
        for path in sorted(folder.glob("*/*"))
        if path.suffix.lower() in (".jpg", ".jpeg") and not path.name.startswith(".")
    ]


def _annotations(folder: Path, name: str) -> dict[str, np.ndarray]:
    """Picture's name -> prompt: uint8 (h, w) of 255, 0 and GREY."""
    tables = sorted(folder.glob("*.csv"))
    if not tables:
        raise missing(f"the annotations of {name}", [f"{folder}/*.csv"], WHERE)
    sides: tuple[dict[str, np.ndarray], ...] = ({}, {})
    for table in tables:
        side = sides["counterfactual" in table.name]
        for row in read_rows(table, ("img_idx", "attention", "img_check")):
            if row["img_check"] == "good":
                side[row["img_idx"]] = _matrix(table, row)
    factual, counterfactual = sides
    prompts = {}
    for key in factual.keys() | counterfactual.keys():
        yes, no = factual.get(key), counterfactual.get(key)
        yes = np.zeros_like(no) if yes is None else yes
        no = np.zeros_like(yes) if no is None else no
        if yes.shape != no.shape:
            raise UserError(f"{folder}: both maps of {key} differ in size: {yes.shape}, {no.shape}")
        prompts[key] = np.select([yes & ~no, no & ~yes], [255, 0], GREY).astype(np.uint8)
    return prompts


def _matrix(table: Path, row: dict[str, str]) -> np.ndarray:
    """bool (h, w)"""
    try:
        matrix = np.asarray(json.loads(row["attention"]), dtype=np.float32)
        if matrix.ndim != 2 or matrix.size == 0:
            raise ValueError(f"its shape is {matrix.shape}")
        if not (matrix >= 0).all():
            raise ValueError("it holds what is below 0, or no number")
    except (TypeError, ValueError) as error:
        key = row["img_idx"]
        raise UserError(f"{table}: the attention of {key} is not a matrix ({error})") from None
    return matrix > 0


def _stretched(prompt: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """To the picture's size (W, H), three levels as they are."""
    return np.asarray(Image.fromarray(prompt).resize(size, Image.Resampling.NEAREST))
