"""Figures: the same numbers give the same bytes, and no name breaks them."""

import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from rl_attn.reports import analysis, figures
from rl_attn.reports.collect import collect
from rl_attn.reports.gallery import attention_grid, picture_plates
from rl_attn.reports.scores import scores
from rl_attn.reports.style import looks


@pytest.fixture
def drawn(study_of):
    values = {
        ("A $x_1$ <b>&", m): [{"iou": v}, {"iou": v + 0.1}] for m, v in (("x", 0.1), ("$y", 0.5))
    }
    study = collect(study_of(values))
    raw = scores(study, study.metrics[0])
    return lambda: figures.task_panels(raw, analysis.task_means(raw))


def test_the_pages_svg_follows_its_theme_and_has_ids_of_its_own(drawn):
    svg = drawn().svg
    ElementTree.fromstring(svg.replace("xlink:", ""))  # well-formed, names escaped
    assert svg.startswith("<svg") and "currentColor" in svg and "var(--rule)" in svg
    assert "#1f2430" not in svg
    names = set(re.findall(r'\bid="([^"]+)"', svg))
    assert names and all(name.startswith("task_panels-") for name in names)
    used = {a or b for a, b in re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg)}
    assert used <= names


def test_png_is_for_white_paper_and_pdf_is_pdf(drawn):
    picture = drawn()
    assert picture == drawn()  # the same bytes each time
    image = Image.open(io.BytesIO(picture.png)).convert("RGB")
    assert image.getpixel((0, 0)) == (255, 255, 255) and np.asarray(image).std() > 5
    assert picture.pdf.startswith(b"%PDF") and b"CreationDate" not in picture.pdf


def test_many_methods_are_told_apart_by_colour_marker_or_dashes():
    found = looks([str(i) for i in range(20)])
    assert len(set(found.values())) == 20
    assert found["0"].color not in {look.color for name, look in found.items() if name != "0"}


def test_rows_of_pictures_may_be_shorter_than_the_heads():
    gray = np.full((12, 16, 3), 128, np.uint8)
    picture = attention_grid([("a", [(gray, "one"), (gray, "two")]), ("b", [(gray, "")])], ["", ""])
    assert picture.png.startswith(b"\x89PNG")


def test_pictures_that_runs_left_are_shown_and_broken_ones_said(study_of):
    folder = study_of({("A", m): [{"iou": 0.1}] for m in ("x", "y")}, command="supervised.train")
    for method in ("x", "y"):
        place = folder / "cells" / f"A-{method}-s1" / "attention"
        place.mkdir()
        Image.fromarray(np.full((12, 16, 3), 90, np.uint8)).save(place / "1.png")
    (place / "0.png").write_bytes(b"not a picture")
    study = collect(folder)
    (plate,) = picture_plates(study)
    assert plate.title == "Attention: A" and "x, y" in plate.alt
    assert "A-y-s1/attention/0.png is not a picture" in study.problems
