"""A report as files: every table, every figure and the page."""

from pathlib import Path

from rl_attn.errors import UserError
from rl_attn.reports.page import render, videos
from rl_attn.reports.parts import Report
from rl_attn.reports.study import Study
from rl_attn.reports.tables import as_csv
from rl_attn.run.files import replacing, write_text


def write(study: Study, report: Report, out: Path) -> None:
    """Every table, figure, video and the page, each replaced in one move."""
    tables, figures = out / "tables", out / "figures"
    try:
        for folder in (tables, figures):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"report folder {out} cannot be made: {error.strerror}") from None
    for table in report.tables():
        write_text(tables / f"{table.name}.csv", as_csv(table.data))
        write_text(tables / f"{table.name}.md", table.markdown())
        write_text(tables / f"{table.name}.tex", table.latex())
    for plate in report.plates():
        for kind, content in (("png", plate.picture.png), ("pdf", plate.picture.pdf)):
            with replacing(figures / f"{plate.name}.{kind}") as scratch:
                scratch.write_bytes(content)
        if plate.data is not None:
            write_text(figures / f"{plate.name}.csv", as_csv(plate.data))
    write_text(out / "index.html", render(study, report, videos(study, out / "videos")))
