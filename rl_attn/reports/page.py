"""The page: one HTML file that holds its styles, its script and its figures."""

import shutil
from collections import Counter
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from rl_attn.reports.html import html
from rl_attn.reports.parts import Plate, Report
from rl_attn.reports.study import Cell, Study
from rl_attn.run.files import replacing
from rl_attn.run.yaml import dump_yaml

STATES = ("finished", "running", "failed", "pending", "pruned", "later")


def render(study: Study, report: Report, shown: list[dict[str, str]]) -> str:
    """The page as text. shown: of `videos`."""
    counts = Counter(cell.state for cell in study.cells)
    return html(
        "page.html",
        f"{study.name}: report",
        study=study,
        report=report,
        counts=[(state, counts[state]) for state in STATES if counts[state]],
        failed=[cell for cell in study.cells if cell.state == "failed"],
        unfinished=[cell for cell in study.cells if cell.state not in ("finished", "failed")],
        videos=shown,
        declared=dump_yaml(study.declared),
        is_plate=lambda part: isinstance(part, Plate),
        svg=lambda plate: Markup(plate.picture.svg),  # drawn here, its texts escaped
    )


def videos(study: Study, folder: Path) -> list[dict[str, str]]:
    """Copy the first run's video of each task and method beside the page, into `folder`; what the
    page says of each, with its link."""

    def copied(cell: Cell) -> dict[str, str] | None:
        file = cell.path / "evaluation.mp4"
        if not file.is_file():
            return None
        folder.mkdir(exist_ok=True)
        with replacing(folder / f"{cell.name}.mp4") as scratch:
            shutil.copyfile(file, scratch)
        link = f"{folder.name}/{quote(cell.name)}.mp4"
        return {"title": f"{cell.task}, {cell.method}", "cell": cell.name, "link": link}

    found = [study.first(task, m, copied) for task in study.tasks for m in study.methods]
    return [video for video in found if video is not None]
