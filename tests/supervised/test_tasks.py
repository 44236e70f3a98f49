"""What a network is asked for: loss, prediction and measures of each task; a number from a table to
an explained prediction."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

import rl_attn
from rl_attn import explain, report
from rl_attn.errors import UserError
from rl_attn.reports import classifier
from rl_attn.supervised import check, train
from rl_attn.supervised.data import Split, fold, load
from rl_attn.supervised.data.deal import strata_of
from rl_attn.supervised.network import Network
from rl_attn.supervised.scoring import scores_of_numbers
from rl_attn.supervised.tasks import Classes, Labels, Number, task_of


def split_of(values: list[float], **fields) -> Split:
    blank, labels = torch.zeros(len(values), 1, 2, 2, dtype=torch.uint8), torch.zeros(len(values))
    return Split(blank, labels.long(), values=torch.tensor(values, dtype=torch.float64), **fields)


def test_the_set_says_what_is_learned():
    split = split_of([10, 20, 30, 40])
    assert task_of(split, "l1") == Number(25.0, 125**0.5, "l1")
    bare = Split(split.images, split.labels)
    assert task_of(bare) == Classes()
    assert task_of(Split(split.images, split.labels, several=torch.ones(4, 2).bool())) == Labels()
    with pytest.raises(UserError, match="all 2 training pictures have the number 3"):
        task_of(split_of([3, 3]))


def test_losses_by_hand():
    values = torch.tensor([30.0, 10.0], dtype=torch.float64)
    batch = SimpleNamespace(values=values)
    logits = torch.tensor([[0.5], [0.5]])  # 25 of a mean of 20 and a deviation of 10
    assert Number(20, 10).predicted(logits).tolist() == [[25.0], [25.0]]
    torch.testing.assert_close(Number(20, 10).loss(logits, batch), torch.tensor([0.25, 2.25]))
    torch.testing.assert_close(Number(20, 10, "l1").loss(logits, batch), torch.tensor([0.5, 1.5]))
    some = Number(20, 10).loss(logits[:1], batch, torch.tensor([1]))
    torch.testing.assert_close(some, torch.tensor([2.25]))
    labels = SimpleNamespace(several=torch.tensor([[1.0, 0.0]]))
    found = Labels().loss(torch.tensor([[0.0, 0.0]]), labels)
    torch.testing.assert_close(found, torch.tensor([2.0]).log())
    one = SimpleNamespace(labels=torch.tensor([1, 1]), weights=torch.tensor([1.0, 3.0]))
    found = Classes().loss(torch.zeros(2, 2), one)
    torch.testing.assert_close(found, torch.tensor([1.0, 3.0]) * torch.tensor(2.0).log())


def test_measures_of_numbers_by_hand():
    """Errors 0, -1, 1 and 2; squares 6 of a total of 10 about the mean 2.5, times 2."""
    found = scores_of_numbers(
        torch.tensor([1.0, 1.0, 4.0, 6.0]), torch.tensor([1.0, 2.0, 3.0, 4.0])
    )
    assert found["mae"] == 1.0 and found["rmse"] == pytest.approx(1.5**0.5)
    assert found["r2"] == pytest.approx(1 - 6 / 5)
    # about their means: -1.5, -0.5, 0.5, 1.5 and -2, -2, 1, 3: 9 / sqrt(5 * 18)
    assert found["pearson"] == pytest.approx(9 / 90**0.5)
    assert scores_of_numbers(torch.ones(2), torch.tensor([1.0, 2.0]))["pearson"] == 0
    assert set(scores_of_numbers(torch.ones(2), torch.ones(2))) == {"mae", "rmse"}


class Halves(nn.Module):
    """A number: three times the left half's mean less the right half's."""

    layer = "identity"

    def __init__(self):
        super().__init__()
        self.identity = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.ones_(self.identity.weight)

    def forward(self, x):
        x = self.identity(x)
        weights = torch.tensor([3.0, 3.0, -1.0, -1.0])
        return (x * weights).mean((1, 2, 3), keepdim=False)[:, None]


def test_what_lowers_a_number_is_attention_too():
    """HiRes-CAM is activation times gradient: 3 on the left, -1 on the right, of 3."""
    x, zeros = torch.ones(1, 1, 4, 4), torch.zeros(1, dtype=torch.int64)
    for task, signed, expected in (
        (Number(), True, [1, 1, -1 / 3, -1 / 3]),
        (Number(), False, [1, 1, 1 / 3, 1 / 3]),
        (None, False, [1, 1, 0, 0]),
    ):
        network = Network(Halves(), "identity", attention="hires-cam", task=task)
        found = network.explain(network(x), x, zeros, signed=signed, relu=True)
        torch.testing.assert_close(found.map[0, 0], torch.tensor(expected).float())
    network = Network(Halves(), "identity", task=Number())
    with pytest.raises(UserError, match="single value"):
        network.explain(network(x), x, zeros, "sarfa")
    alone, plain = (network.explain(network(x), x, zeros, n) for n in ("diff-grad-cam", "grad-cam"))
    assert torch.equal(alone.map, plain.map)  # there is no other class


def test_numbers_are_dealt_in_fifths_of_their_order():
    split = split_of([float(i * 7 % 40) for i in range(40)])
    strata = strata_of(split)
    assert strata.bincount().tolist() == [8] * 5
    assert split.values[strata == 0].max() == 7 and split.values[strata == 4].min() == 32
    alone = split_of([1, 2, 3], subjects=torch.arange(3))
    assert strata_of(alone).tolist() == [0, 0, 0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """24 squares of 20x20 whose shade is the number."""
    root, random = tmp_path_factory.mktemp("ages"), np.random.default_rng(0)
    (root / "images").mkdir()
    (root / "masks").mkdir()
    rows = [("image", "age")]
    for i in range(24):
        image, mask = random.integers(0, 60, (20, 20, 3), np.uint8), np.zeros((20, 20), np.uint8)
        y, x = random.integers(0, 10, 2)
        image[y : y + 9, x : x + 9], mask[y : y + 9, x : x + 9] = 70 + 7 * i, 255
        Image.fromarray(image).save(root / f"images/{i}.png")
        Image.fromarray(mask).save(root / f"masks/{i}.png")
        rows.append((f"{i}.png", f"{20 + i / 2}"))
    with (root / "ages.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return root


OPTIONS = ("--data-options", "table=ages.csv", "target=age")


@pytest.fixture(scope="module")
def flags(folder) -> list[str]:
    argv = ["--data", "masked-folder", "--data-root", str(folder), *OPTIONS]
    return [*argv, "--backbone", "lenet", "--weights", "none", "--device", "cpu"]


@pytest.fixture(scope="module")
def run(flags, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "run"
    learn = ["--epochs", "2", "--batch-size", "8", "--select", "mae", "--run-dir", str(path)]
    assert train.main([*flags, *learn]) == 0
    return path


def test_a_run_on_numbers_leaves_their_measures(run):
    result = json.loads((run / "evaluation.json").read_text())
    assert {"mae", "rmse", "r2", "pearson", "iou"} <= set(result["summary"])
    assert "accuracy" not in result["summary"] and set(result["confusion"]) == {"classes"}
    rows = pd.read_csv(run / "metrics.csv")
    assert rows["losses/mse"].gt(0).all()
    assert result["epochs"] == [int(rows["validation/mae"].argmin()) + 1]


def test_it_answers_in_the_numbers_units(run, folder):
    loaded = rl_attn.load(run, "cpu")
    file = folder / "images/3.png"
    found = loaded.explain(file, ["grad-cam", "input-gradient"], mask=folder / "masks/3.png")
    logit = loaded.network(loaded.preprocess(file)).item()
    values = load("masked-folder", folder, table="ages.csv", target="age").splits["train"].values
    expected = logit * values.std(correction=0).item() + values.mean().item()
    assert found.scores["age"] == pytest.approx(expected, rel=1e-5)
    assert found.title == f"age {expected:.4g}" and np.isnan(found.probability)
    assert np.abs(found.maps["grad-cam"]).max() > 0 and found.maps["input-gradient"].min() >= 0
    network = loaded._network
    x = loaded.preprocess(file)
    signed = network.explain(network(x), x, torch.tensor([0]), signed=True)
    full = signed.upsample((20, 20))[0].detach().numpy()
    np.testing.assert_allclose(found.maps["grad-cam"], full, atol=1e-6)


def test_its_pages_say_numbers(run, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(classifier, "SHOWN", 1)
    monkeypatch.setattr(classifier, "RESAMPLES", 9)
    image = str(folder / "images/3.png")
    assert explain.main([str(run), image, "--out", str(tmp_path / "e"), "--device", "cpu"]) == 0
    (row,) = csv.DictReader((tmp_path / "e/explanations.csv").open())
    assert row["label"] == "age" and not row["probability"] and 0 < float(row["score/age"]) < 60
    assert report.main([str(run), "--out", str(tmp_path / "r")]) == 0
    page = (tmp_path / "r/index.html").read_text()
    assert "Errors on test" in page and "Farthest off." in page and "Confusion" not in page
    table = pd.read_csv(tmp_path / "r/images.csv")
    np.testing.assert_allclose(table["predicted"] - table["label"], table["error"], atol=0.01)


def test_check_tells_what_numbers_there_are(folder, capsys):
    assert check.main([str(folder), *OPTIONS]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "24 images with age" in said
    assert "age 20 to 31.5 (mean 25.75, standard deviation 3.461)" in said


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--method", "vapl"], "--method vapl is for pictures that have one class each"),
        (["--method", "rrr"], "--method rrr is for pictures that have one class each or may have"),
        (["--class-weights", "balanced"], "and these have a number"),
        (["--sampling", "balanced"], "and these have a number"),
        (["--faithfulness", "1"], "--faithfulness 1 is for pictures"),
        (["--select", "auroc"], "--select auroc: validation of masked-folder has numbers"),
        (["--data-options", "table=ages.csv", "target=image"], "target=image is a column of"),
        (["--data-options", "table=ages.csv", "target=agee"], "has no column agee"),
        (["--data-options", "target=age"], "target=age is a column of numbers in a table"),
    ],
)
def test_what_needs_classes_is_refused_by_name(flags, more, message, tmp_path):
    with pytest.raises(UserError, match=message):
        train.main([*flags, *more, "--run-dir", str(tmp_path / "run")])
    assert not (tmp_path / "run").exists()


def test_a_cell_that_is_no_number_is_named(folder, tmp_path):
    (tmp_path / "bad.csv").write_text("image,age\n0.png,20\n1.png,\n2.png,nan\n")
    with pytest.raises(UserError, match=r"line 3 of .*bad.csv has age ''"):
        load("masked-folder", folder, table=str(tmp_path / "bad.csv"), target="age")


def test_classes_have_no_numbers_to_select_by(toy, tmp_path):
    argv = ["--data", "toy", "--device", "cpu", "--run-dir", str(tmp_path / "run")]
    for more, message in ((["--select", "mae"], "no numbers"), (["--target-loss", "l1"], "number")):
        with pytest.raises(UserError, match=message):
            train.main([*argv, *more])


def test_folds_test_every_number_once(folder):
    whole = load("masked-folder", folder, table="ages.csv", target="age")
    tested = [fold(whole, k, 4, 0).splits["test"].values for k in range(4)]
    assert torch.cat(tested).sort().values.tolist() == [20 + i / 2 for i in range(24)]
    assert all(part.min() < 23 and part.max() > 28 for part in tested)
