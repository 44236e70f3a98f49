"""A run that answers: the same pictures as in training, the same maps, a mask found by its name."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import rl_attn
from rl_attn import explain, report
from rl_attn.attention import grad_cam, iou, tap
from rl_attn.errors import UserError
from rl_attn.explaining import pictures_of, unique_names
from rl_attn.reports import classifier
from rl_attn.reports.classifier import chosen_images
from rl_attn.run.cli import parse
from rl_attn.supervised import train
from rl_attn.supervised.classifier import file_options
from rl_attn.supervised.data import Split, storage
from rl_attn.supervised.data.annotations import MaskOptions
from rl_attn.supervised.inputs import mask_beside
from rl_attn.supervised.settings import args_type, method_of
from rl_attn.supervised.setup import prepare_data, read_data
from rl_attn.supervised.tasks import Classes, Labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two classes of 8 images, 30x24; a bright square is what matters."""
    root, random = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for number in range(16):
        name = f"{'cat' if number % 2 else 'dog'}/{number}.png"
        image = random.integers(0, 90, (24, 30, 3), np.uint8)
        mask = np.zeros((24, 30), np.uint8)
        y, x = random.integers(0, 12, 2)
        image[y : y + 10, x : x + 12, number % 2] = 250
        mask[y : y + 10, x : x + 12] = 255
        for kind, pixels in (("images", image), ("masks", mask)):
            (root / kind / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(root / kind / name)
    return root


@pytest.fixture(scope="module")
def flags(folder, tmp_path_factory) -> list[str]:
    run = tmp_path_factory.mktemp("runs") / "run"
    argv = ["--data", "masked-folder", "--data-root", str(folder), "--size", "21", "--fit", "crop"]
    argv += ["--crop", "center", "--backbone", "lenet", "--epochs", "1", "--device", "cpu"]
    return [*argv, "--run-dir", str(run)]


@pytest.fixture(scope="module")
def run(flags) -> Path:
    assert train.main(flags) == 0
    return Path(flags[-1])


@pytest.fixture(scope="module")
def loaded(run):
    return rl_attn.load(run, "cpu")


def test_a_file_becomes_what_it_was_in_training(loaded, folder, flags):
    args = parse(args_type(flags), flags, "train")
    data = prepare_data(args, method_of(args), read_data(args), torch.device("cpu"))
    trained = [x for batches in data.splits.values() for x in next(batches.in_order(99)).pictures]
    for file in sorted(folder.glob("images/*/*.png")):
        x = loaded.preprocess(file)
        assert x.shape == (1, 3, 21, 21) and any(torch.equal(x[0], known) for known in trained)
        assert torch.equal(x, loaded.preprocess(np.asarray(Image.open(file))))


def test_prediction_map_and_overlap_are_those_by_hand(loaded, folder):
    file = folder / "images/cat/1.png"
    found = loaded.explain(file, ["grad-cam", "input-gradient"], mask=mask_beside(file))
    x = loaded.preprocess(file)
    with tap(loaded.network, "conv2") as features:
        logits = loaded.network(x)
    assert list(found.scores) == ["cat", "dog"] and found.label in found.scores
    torch.testing.assert_close(list(found.scores.values()), logits.softmax(1)[0].tolist())
    attention = grad_cam(logits.amax(1), features())
    full = features.cells and loaded._network(x).grad_cam(logits.argmax(1)).upsample((21, 21))
    np.testing.assert_allclose(found.maps["grad-cam"], full[0].detach(), atol=1e-6)
    assert attention.shape[1:] == (4, 4)
    mask = torch.from_numpy(found.mask)[None]
    assert found.overlap["grad-cam"] == pytest.approx(iou(full, mask).item())
    other = "dog" if found.label == "cat" else "cat"
    assert loaded.explain(file, label=other).explained == other
    assert found.maps["input-gradient"].shape == (21, 21) == found.image.shape[:2]


def test_an_image_alone_has_expected_gradients(loaded, folder):
    found = loaded.explain(folder / "images/cat/1.png", ["expected-gradients"])
    assert found.maps["expected-gradients"].max() > 0


def test_the_command_leaves_pictures_a_table_and_a_page(run, folder, tmp_path, capsys):
    images = [str(folder / "images/cat/1.png"), str(folder / "images/dog/2.png")]
    argv = [str(run), *images, "--out", str(tmp_path), "--device", "cpu"]
    assert explain.main([*argv, "--maps", "grad-cam", "layer-cam"]) == 0
    with (tmp_path / "explanations.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 and len(list(tmp_path.glob("*.png"))) == 2
    assert {"file", "label", "probability", "score/cat", "iou/grad-cam"} <= set(rows[0])
    assert all(0 <= float(row["iou/layer-cam"]) <= 1 for row in rows)
    page = (tmp_path / "index.html").read_text()
    assert page.count("<img") == 2 and 'src="1.png"' in page
    said = capsys.readouterr().out
    assert str(tmp_path / "index.html") in said
    assert said.count("note: maps of conv2 have 4 x 4 cells for 21 x 21 pixels") == 1


def test_a_finished_run_keeps_its_best_network_alone(run):
    (file,) = (run / "checkpoints").iterdir()
    state = torch.load(file, weights_only=True)
    assert set(state) == {"format", "model", "extra", "inputs", "global_step"}


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"label": "cow"}, "unknown class 'cow'"),
        ({"maps": ["grad-cm"]}, "did you mean grad-cam"),
        ({"maps": ["le-grad"]}, "computes none"),
    ],
)
def test_what_cannot_be_explained_is_said(loaded, folder, how, message):
    with pytest.raises(UserError, match=message):
        loaded.explain(folder / "images/cat/1.png", **how)


def test_nothing_is_written_over_and_nothing_is_half_done(run, folder, tmp_path):
    cat, out = folder / "images/cat/1.png", tmp_path / "out"
    before = cat.read_bytes()
    (tmp_path / "a.png").write_bytes(before)
    (tmp_path / "b.png").write_bytes(before[:200])
    Image.new("L", (9, 9)).save(tmp_path / "a_mask.png")

    def refused(message, *argv):
        with pytest.raises(UserError, match=message):
            explain.main([str(run), *map(str, argv), "--device", "cpu"])

    refused("1.png exists already", cat, "--out", cat.parent)
    refused("1.png exists already", cat, "--out", folder / "masks/cat")
    refused("a_mask.png is 9x9, its image 30x24", cat, tmp_path / "a.png", "--out", out)
    refused("b.png cannot be read", cat, tmp_path / "b.png", "--out", out)
    refused("is of agents", cat, "--attention-target", "value", "--out", out)
    refused("has its own", cat, "--weights", "none", "--out", out)
    assert cat.read_bytes() == before and not out.exists()
    for _ in range(2):  # what it has written itself it may replace
        assert explain.main([str(run), str(cat), "--out", str(out), "--device", "cpu"]) == 0


def test_no_run_and_no_image_are_said(tmp_path, folder):
    for place, message in ((tmp_path / "no", "does not exist"), (tmp_path, "no config.yaml")):
        with pytest.raises(UserError, match=message):
            rl_attn.load(place)
    (tmp_path / "x.png").write_text("no image")
    with pytest.raises(UserError, match="nowhere"):
        explain.main([str(tmp_path), "nowhere"])


def test_a_folder_is_its_images_without_the_masks(folder):
    (folder / ".thumbnails").mkdir()
    (folder / ".thumbnails/1.png").touch()
    assert len(pictures_of((str(folder),))) == 16


def test_masks_are_found_by_their_names(tmp_path):
    places = ["a/x.png", "a/x_mask.png", "images/c/y.jpg", "masks/c/y.png", "b/z.png", "m/z.png"]
    for name in places:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (2, 2)).save(tmp_path / name)
    assert mask_beside(tmp_path / "a/x.png") == tmp_path / "a/x_mask.png"
    assert mask_beside(tmp_path / "images/c/y.jpg") == tmp_path / "masks/c/y.png"
    assert mask_beside(tmp_path / "b/z.png") is None
    assert mask_beside(tmp_path / "b/z.png", tmp_path / "m") == tmp_path / "m/z.png"


def test_no_two_images_are_written_to_one_file():
    files = [Path("a/x.png"), Path("b/x.png"), Path("x-2.png")]
    assert unique_names(files) == ["x", "x-2", "x-2-2"]


def test_a_model_is_asked_by_its_name_with_its_own_statistics(folder, tmp_path, monkeypatch):
    timm = pytest.importorskip("timm")
    monkeypatch.chdir(tmp_path)
    image = str(folder / "images/cat/1.png")
    assert explain.main(["timm:resnet10t", image, "--weights", "none", "--device", "cpu"]) == 0
    with (tmp_path / "explanations/timm-resnet10t/explanations.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (
        sum(name.startswith("score/") for name in row) == 1000 and float(row["iou/grad-cam"]) >= 0
    )
    model = rl_attn.load("timm:resnet10t", "cpu", weights="none")
    config = timm.data.resolve_model_data_config(model.network)
    assert model.inputs.size == config["input_size"][1:] and model.inputs.mean == config["mean"]
    with pytest.raises(UserError, match="has no weights of its own"):
        rl_attn.load("mine:make")


def test_a_run_s_page_has_its_measures_and_the_images_to_look_at(run, tmp_path, monkeypatch):
    monkeypatch.setattr(classifier, "RESAMPLES", 40)
    monkeypatch.setattr(classifier, "SHOWN", 1)
    assert report.main([str(run), "--out", str(tmp_path)]) == 0
    said = json.loads((run / "evaluation.json").read_text())
    table = pd.read_csv(tmp_path / "metrics.csv").set_index("metric")
    for name, value in said["summary"].items():
        assert table["value"][name] == pytest.approx(value["mean"], abs=1e-6), name
        assert table["low"][name] <= table["value"][name] <= table["high"][name]
    images = pd.read_csv(tmp_path / "images.csv")
    assert images["iou"].mean() == pytest.approx(said["summary"]["iou"]["mean"], abs=1e-6)
    page = (tmp_path / "index.html").read_text()
    for part in ("Measures on test", "Confusion on test", "The best", "Most wrongly attended"):
        assert f"<h2>{part}</h2>" in page
    assert page.count("<img") == len(list((tmp_path / "pictures").iterdir())) >= 2


def test_the_images_of_a_page_are_the_best_and_the_worst():
    probabilities = torch.tensor([[0.6, 0.4], [0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])
    columns = {"predictions": probabilities}
    split = Split(torch.zeros(4, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 0, 1, 1]))
    answers = classifier.Answers.of(Classes(), probabilities, split, ("a", "b"))
    assert answers.true == ["a", "a", "b", "b"] and answers.said == ["a", "a", "a", "b"]
    rows = {kind: chosen for kind, (_, chosen) in chosen_images(columns, answers).items()}
    assert rows == {"The best": [1, 3, 0], "The worst": [2]}
    columns |= {
        "present": torch.tensor([True, True, True, False]),
        "iou": torch.tensor([0.5, 0.1, 0.9, 0.0]),
        "energy_inside": torch.tensor([0.4, 0.2, 0.0, 0.0]),
        "dead_maps": torch.tensor([0.0, 0.0, 1.0, 0.0]),
    }
    rows = {kind: chosen for kind, (_, chosen) in chosen_images(columns, answers).items()}
    several = torch.tensor([[True, False], [True, True], [True, False], [False, False]])
    both = classifier.Answers.of(
        Labels(), probabilities, replace(split, several=several), ("a", "b")
    )
    assert both.true == ["a", "a, b", "a", "none"] and both.right.tolist() == [1, 0, 1, 0]
    assert rows["The best"] == [0, 1, 3] and rows["Most wrongly attended"] == [1, 0]


def test_images_on_the_disk_train_to_the_same_digits(flags, run, tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "LARGE", 0)
    monkeypatch.setattr(storage, "user_cache_dir", lambda name: tmp_path / "cache")
    assert train.main([*flags[:-1], str(tmp_path / "run")]) == 0
    assert (tmp_path / "cache").is_dir() and not list((tmp_path / "cache").iterdir())
    for name in ("evaluation.json", "metrics.csv"):
        there, here = ((p / name).read_text() for p in (run, tmp_path / "run"))
        if name == "metrics.csv":  # but for the time of an epoch, the last column
            there, here = (text.rsplit(",", 1)[0] for text in (there, here))
        assert there == here, name


def test_masks_beside_images_are_plain_where_the_set_has_annotation_files():
    """`mask_label` then names regions, and is nothing of mask files."""
    words = ["--data", "masked-folder", "--data-options", "mask_label=2", "image_range=0,9"]
    images, masks = file_options(parse(args_type(words), words, "train"))
    assert images.limits == (0, 9) and masks.label == (2,)
    words = ["--data", "masked-folder", "--data-options", "format=coco", "mask_label=lesion"]
    assert file_options(parse(args_type(words), words, "train"))[1] == MaskOptions()
