"""Hand-made studies: folders as a study of finished runs leaves them, with chosen numbers."""

import json
import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import yaml

from rl_attn import report
from rl_attn.reports import style


@pytest.fixture(scope="session", autouse=True)
def quickly_embedded_fonts():
    """To cut a TrueType font down to what a PDF uses takes most of a figure's time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(style._RC, "pdf.fonttype", 3)
        yield


Values = Mapping[tuple[str, str], list[dict[str, float]]]  # (task, method) -> a summary a run

DECLARED = {
    "command": "rl_attn.ppo",
    "arguments": {"total_timesteps": 1000},
    "report": {
        "compare": "method",
        "metrics": [
            {"name": "iou", "label": "IoU"},
            {"name": "episode_return", "label": "Return", "reference": "random"},
        ],
    },
    "references": [{"name": "random", "per": ["env"], "command": "rl_attn.evaluate"}],
}


def summary(values: Mapping[str, float]) -> str:
    entries = {n: {"mean": v, "low": v - 1, "high": v + 1} for n, v in values.items()}
    return json.dumps({"summary": entries})


def metrics_csv(final: float, rows: int = 20) -> str:
    lines = ["global_step,attention/iou,charts/episodic_return"]
    lines += [f"{50 * (i + 1)},{final * (i + 1) / rows:.6g},{i:.6g}" for i in range(rows)]
    return "\n".join(lines) + "\n"


def write_study(
    folder: Path,
    values: Values,
    references: Mapping[str, dict[str, float]] | None = None,
    **declared: object,
) -> Path:
    """A study of which every run is finished.

    Args:
        values: summaries of the runs with seeds 1, 2, ...
        references: env -> summary of the random policy.
        declared: entries of study.yaml that differ from DECLARED.
    """
    tasks = list(dict.fromkeys(task for task, _ in values))
    methods = list(dict.fromkeys(method for _, method in values))
    most = max(len(runs) for runs in values.values())
    study = {**DECLARED, "grid": {"env": tasks, "method": methods}, **declared}
    if "env" not in study["grid"]:
        del study["references"]
    if "folds" not in study:
        study.setdefault("seeds", list(range(1, most + 1)))
    (folder / "cells").mkdir(parents=True)
    (folder / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    states = {}
    for (task, method), runs in values.items():
        for number, run in enumerate(runs, start=1):
            name = f"{task}-{method}-{'f' if 'folds' in study else 's'}{number}"
            states[name] = {"state": "finished", "attempts": 1, "seconds": 90.0, "message": ""}
            write_cell(folder / "cells" / name, run, {"env": task, "camal": 1.0, "seed": number})
    (folder / "state.json").write_text(json.dumps(states))
    for task, values_of_reference in (references or {}).items():
        place = folder / "references" / f"random-{task}"
        place.mkdir(parents=True)
        (place / "evaluation.json").write_text(summary(values_of_reference))
    return folder


def write_cell(cell: Path, values: Mapping[str, float], config: Mapping[str, object]) -> None:
    cell.mkdir(parents=True)
    (cell / "evaluation.json").write_text(summary(values))
    (cell / "config.yaml").write_text(yaml.safe_dump(dict(config)))
    (cell / "versions.json").write_text(json.dumps({"torch": "2.15.0", "git_commit": None}))
    (cell / "metrics.csv").write_text(metrics_csv(next(iter(values.values()), math.nan)))


def runs_of(**columns: list[float]) -> list[dict[str, float]]:
    """Summaries from columns: runs_of(iou=[0.1, 0.2]) are two runs."""
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


#: Two tasks, three runs. IoU: CAMAL wins every pair on both tasks. Return: CAMAL wins on A and
#: loses on B, so nothing is decided. Blind loses every pair in both.
KNOWN = {
    ("A", "Vanilla"): runs_of(iou=[0.10, 0.11, 0.12], episode_return=[10.0, 12.0, 14.0]),
    ("A", "CAMAL"): runs_of(iou=[0.30, 0.32, 0.34], episode_return=[20.0, 22.0, 24.0]),
    ("A", "Blind"): runs_of(iou=[0.00, 0.01, 0.02], episode_return=[1.0, 2.0, 3.0]),
    ("B", "Vanilla"): runs_of(iou=[0.20, 0.22, 0.24], episode_return=[100.0, 110.0, 120.0]),
    ("B", "CAMAL"): runs_of(iou=[0.40, 0.42, 0.44], episode_return=[50.0, 60.0, 70.0]),
    ("B", "Blind"): runs_of(iou=[0.05, 0.06, 0.07], episode_return=[10.0, 20.0, 30.0]),
}
RANDOM = {"A": {"episode_return": 2.0}, "B": {"episode_return": 10.0}}


@pytest.fixture(scope="session")
def write_known() -> Callable[[Path], Path]:
    """write_known(folder) makes the study of KNOWN there."""
    return lambda folder: write_study(folder, KNOWN, RANDOM)


@pytest.fixture
def known(tmp_path: Path, write_known: Callable[[Path], Path]) -> Path:
    return write_known(tmp_path / "known")


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory, write_known: Callable[[Path], Path]) -> Path:
    """The known study with one video and one failed cell, and its report: figures take a while."""
    folder = write_known(tmp_path_factory.mktemp("reported") / "known")
    write_video(folder / "cells" / "A-CAMAL-s1" / "evaluation.mp4")
    states = json.loads((folder / "state.json").read_text())
    states["B-Blind-s3"] = {"state": "failed", "attempts": 3, "message": "<i>x</i>"}
    (folder / "state.json").write_text(json.dumps(states))
    assert report.main([str(folder), "--resamples", "500"]) == 0
    return folder


def write_video(file: Path) -> None:
    """One second of H.264."""
    with av.open(str(file), "w") as out:
        stream = out.add_stream("libx264", rate=Fraction(10))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(10):
            picture = np.full((48, 64, 3), 20 * i, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))


@pytest.fixture
def study_of(tmp_path: Path) -> Callable[..., Path]:
    """study_of(values, references, **declared) -> the folder of such a study."""
    return lambda values, *rest, **declared: write_study(
        tmp_path / "study", values, *rest, **declared
    )
