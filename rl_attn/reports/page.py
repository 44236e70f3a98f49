"""The page: one HTML file that holds its styles, its script and its figures."""

import os
from collections import Counter
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from rl_attn.reports.parts import Plate, Report
from rl_attn.reports.study import Study
from rl_attn.run.yaml import dump_yaml

STATES = ("finished", "running", "failed", "pending", "pruned")


def render(study: Study, report: Report, out: Path) -> str:
    """The page as text; everything that comes from files is escaped.

    Args:
        out: the folder that the page will stand in, from which videos are linked.
    """
    environment = Environment(
        loader=PackageLoader("rl_attn.reports", "template"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    counts = Counter(cell.state for cell in study.cells)
    return environment.get_template("page.html").render(
        study=study,
        report=report,
        counts=[(state, counts[state]) for state in STATES if counts[state]],
        failed=[cell for cell in study.cells if cell.state == "failed"],
        unfinished=[cell for cell in study.cells if cell.state not in ("finished", "failed")],
        videos=videos(study, out),
        declared=dump_yaml(study.declared),
        is_plate=lambda part: isinstance(part, Plate),
        svg=lambda plate: Markup(plate.picture.svg),  # drawn here, its texts escaped
    )


def videos(study: Study, out: Path) -> list[dict[str, str]]:
    """The first run's video of each task and method, as links relative to the page."""
    found = []
    for task in study.tasks:
        for method in study.methods:
            for cell in study.of(task, method):
                file = cell.path / "evaluation.mp4"
                if file.is_file():
                    place = os.path.relpath(file.resolve(), out.resolve())
                    link = quote(Path(place).as_posix())
                    found.append({"title": f"{task}, {method}", "cell": cell.name, "link": link})
                    break
    return found
