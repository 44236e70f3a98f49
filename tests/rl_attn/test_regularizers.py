import csv

import numpy as np
import pytest
import torch
from PIL import Image

from rl_attn.attention.deviations import DIRECTIONS
from rl_attn.errors import UserError
from rl_attn.regularizer_report import Response, correlate, summarize
from rl_attn.regularizer_responses import REGULARIZERS, responses
from rl_attn.regularizers import main


def ellipses(number=12, size=(48, 64)):
    """Single objects of many places, sizes and shapes, as in the paper's data sets."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[: size[0], : size[1]]
    masks = []
    for _ in range(number):
        y, x = random.uniform(0.35, 0.65, 2) * size
        height, width = random.uniform(8, 20, 2)
        masks.append(((rows - y) / height) ** 2 + ((columns - x) / width) ** 2 < 1)
    return [torch.from_numpy(mask).float() for mask in masks]


@pytest.fixture(scope="module")
def rows():
    masks = ellipses()
    return summarize([responses(m, 10, DIRECTIONS[i % 4]) for i, m in enumerate(masks)])


def pick(rows, regularizer, perturbation=None):
    return [
        row
        for row in rows
        if row.regularizer == regularizer and perturbation in (None, row.perturbation)
    ]


def test_camal_responds_to_everything_as_in_table_4(rows):
    found = pick(rows, "CAMAL")
    assert len(found) == 6  # three perturbations, Spearman and Pearson
    for row in found:
        assert row.mean >= 0.94 and row.responding == 1 and row.masks == 12


def test_suppression_does_not_notice_erosion_and_is_unsure_of_shifts(rows):
    for row in pick(rows, "suppress only", "erode"):
        assert row.responding == 0 and np.isnan(row.mean)
    camal = pick(rows, "CAMAL", "shift")
    for ours, row in zip(camal, pick(rows, "suppress only", "shift"), strict=True):
        assert row.mean < ours.mean and row.std > ours.std
    for row in pick(rows, "suppress only", "dilate"):
        assert row.mean >= 0.94


def test_responses_by_hand():
    mask = torch.zeros(7, 7)
    mask[2:5, 2:5] = 1
    found = responses(mask, 10, DIRECTIONS[0])
    assert found["shift"].severities.tolist() == [0, 1, 2, 3]
    # Per pixel moved out a third of alpha goes and 3 of the 40 pixels outside are on, until the
    # third column leaves the picture.
    expected = [-1, -2 / 3 + 3 / 40, -1 / 3 + 6 / 40, 6 / 40]
    np.testing.assert_allclose(found["shift"].values["CAMAL"], expected, atol=1e-6)
    beta = found["shift"].values["suppress only"]
    np.testing.assert_allclose(beta, [0, 3 / 40, 6 / 40, 6 / 40], atol=1e-6)
    assert set(found["erode"].values) == set(REGULARIZERS)


def test_correlations_by_hand():
    severities = np.array([0, 1, 2, 3])
    response = Response(
        severities,
        {"line": 2 * severities - 5.0, "curve": severities**2.0, "none": np.full(4, 0.3)},
    )
    assert correlate(response, "line", "Spearman") == pytest.approx(1)
    assert correlate(response, "line", "Pearson") == pytest.approx(1)
    assert correlate(response, "curve", "Spearman") == pytest.approx(1)
    assert correlate(response, "curve", "Pearson") == pytest.approx(0.9583148)
    assert np.isnan(correlate(response, "none", "Pearson"))


def test_the_command_on_a_folder_of_pictures(tmp_path, capsys):
    folder = tmp_path / "masks" / "below"
    folder.mkdir(parents=True)
    for number, mask in enumerate(ellipses(3)):
        Image.fromarray(255 * mask.numpy().astype(np.uint8)).save(folder / f"{number}_mask.png")
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(folder / "empty_mask.png")
    Image.fromarray(np.full((20, 20), 255, np.uint8)).save(folder / "picture.png")
    out = tmp_path / "out"
    flags = ["--masks", str(tmp_path / "masks"), "--pattern", "*_mask.png", "--out", str(out)]
    assert main([*flags, "--levels", "4"]) == 0
    with (out / "regularizers.csv").open() as file:
        table = list(csv.DictReader(file))
    assert len(table) == 6 * len(REGULARIZERS)
    assert {row["masks"] for row in table} == {"3"}  # the empty one is left out
    assert Image.open(out / "regularizers.png").height > 500
    assert "3 masks" in " ".join(capsys.readouterr().out.split())  # a long path wraps the title


def test_the_command_on_doom_masks_repeats_table_4(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["--count", "4", "--levels", "5", "--out", str(out)]) == 0
    with (out / "regularizers.csv").open() as file:
        table = list(csv.DictReader(file))
    for row in table:
        if row["regularizer"] == "CAMAL":
            assert abs(float(row["mean"])) >= 0.94
        if row["regularizer"] == "suppress only" and row["perturbation"] == "erode":
            assert float(row["responding"]) == 0
    assert "DefendCenter, 4 masks" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--masks", "nowhere"], "nowhere does not exist"),
        (["--masks", "."], "no file \\*.none"),
        (["--count", "0"], "--count must be from 1 to"),
        (["--levels", "1"], "--levels must be from 2 to"),
        (["--env", "DefendCentre"], "did you mean DefendCenter"),
    ],
)
def test_mistakes_are_named(flags, word, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=word):
        main([*flags, "--pattern", "*.none"])


def test_too_few_large_masks_are_refused_with_the_remedy(tmp_path):
    Image.fromarray(np.eye(20, dtype=np.uint8) * 255).save(tmp_path / "small.png")
    with pytest.raises(UserError, match="0 masks are large enough: lower --min-radius 4"):
        main(["--masks", str(tmp_path)])
