"""Hand-made tables: folders as finished runs of the training command leave them."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import yaml

from rl_attn.reports.collect import collect
from rl_attn.reports.study import Study

SIZE = 6
SHARES = (0.0, 0.5, 1.0)


class TableFolder:
    """A study of `supervised.train` whose cells are written one by one."""

    def __init__(self, path: Path):
        self.path = path
        (path / "cells").mkdir(parents=True)

    def declare(self, **declared: object) -> None:
        text = yaml.safe_dump({"command": "supervised.train", **declared}, sort_keys=False)
        (self.path / "study.yaml").write_text(text)

    def cell(self, name: str, summary: Mapping[str, float], times: tuple[float, ...] = ()) -> Path:
        folder = self.path / "cells" / name
        folder.mkdir()
        entries = {k: {"mean": v, "low": v, "high": v} for k, v in summary.items()}
        (folder / "evaluation.json").write_text(json.dumps({"summary": entries}))
        rows = [f"{10 * i},{seconds}" for i, seconds in enumerate(times, start=1)]
        (folder / "metrics.csv").write_text("\n".join(["global_step,times/epoch", *rows, ""]))
        return folder

    def read(self) -> Study:
        return collect(self.path)


@pytest.fixture
def folder(tmp_path: Path) -> TableFolder:
    return TableFolder(tmp_path / "table")


def save(cell: Path, name: str, **arrays: object) -> None:
    (cell / "attention").mkdir(exist_ok=True)
    np.savez(cell / "attention" / f"{name}.npz", **arrays)


def moments(value: float) -> dict[str, object]:
    """Of two maps: every pixel is 0 in one and 2 * value in the other."""
    plane = np.full((SIZE, SIZE), value, np.float32)
    return {"count": 2, "mean": plane, "variance": plane**2}


def sample(frames: int, attention: float) -> dict[str, object]:
    """Pictures that are `frames` everywhere."""
    return {
        "frames": np.full((2, SIZE, SIZE, 1), frames, np.uint8),
        "masks": np.eye(SIZE, dtype=np.float32)[None].repeat(2, 0),
        "attention": np.full((2, SIZE, SIZE), attention, np.float32),
    }


def curves_csv(deletion: tuple[float, ...], insertion: tuple[float, ...]) -> str:
    rows = zip(SHARES, deletion, insertion, strict=True)
    return "share,deletion,insertion\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows)


@pytest.fixture
def two_methods(folder: TableFolder) -> TableFolder:
    """One task, three folds. CAMAL's IoU is 0.2 better on each; fold 2 of it has not run."""
    folder.declare(
        grid={"method": {"Vanilla": {"method": "vanilla"}, "CAMAL": {"method": "camal"}}},
        folds=3,
        report={"compare": "method", "metrics": [{"name": "iou", "label": "IoU"}]},
    )
    for method, shift in (("Vanilla", 0.0), ("CAMAL", 0.2)):
        for fold in range(3 if method == "Vanilla" else 2):
            cell = folder.cell(
                f"{method}-f{fold}",
                {"iou": 0.1 * fold + shift},
                times=(9.0, 2.0 + 10 * shift, 2.0 + 10 * shift),
            )
            level = 0.9 if method == "Vanilla" else 0.5
            (cell / "faithfulness.csv").write_text(
                curves_csv((0.8, level - 0.1 * fold, 0.0), (0.0, level + 0.1 * fold, 0.8))
            )
            save(cell, "sample", **sample(200, shift))
            masks = {f"mask_{k}": v for k, v in moments(0.5).items()}
            save(cell, "variance", **moments(0.25 + shift), **masks)
    return folder
