"""Gender and Scene from a download in their layout."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from malformed_tables import GOOD, matrices, spoilt
from PIL import Image

from rl_attn.errors import UserError
from rl_attn.supervised.data import load
from rl_attn.supervised.data.prepare.__main__ import main
from rl_attn.supervised.data.prepare.samples import read_table

SIDE = 4  # of the annotators' matrices
#: factual, counterfactual: 4 x 4 over pictures of 8 x 6
TOP = [[1] * SIDE] * 2 + [[0] * SIDE] * 2
LEFT = [[1, 1, 0, 0]] * SIDE


@pytest.fixture
def original(tmp_path) -> Path:
    """Three pictures a class and part; men0 has both maps, men1 the factual, women0 too, men2 and
    women1 rejected ones. test has a suffix."""
    root = tmp_path / "gender_data"
    for part, suffix in (("train", ""), ("val", ""), ("test", "_test")):
        for shade, category in ((60, "men"), (180, "women")):
            folder = root / part / f"{category}{suffix}"
            folder.mkdir(parents=True)
            for i in range(3):
                picture = np.full((6, 8, 3), shade + i, np.uint8)
                Image.fromarray(picture).save(folder / f"{part}_{category}{i}.jpg", quality=100)
    yes = {"train_men0": TOP, "train_men1": TOP, "train_women0": TOP, "train_men2": TOP}
    write(root / "attention_label" / "men_factual.csv", yes, rejected=("train_men2",))
    write(root / "attention_label" / "men_counterfactual.csv", {"train_men0": LEFT})
    return root


def write(table: Path, maps: dict, rejected: tuple[str, ...] = ()) -> None:
    table.parent.mkdir(exist_ok=True)
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("", "img_idx", "attention", "img_check", "matrix_resize"))
        for i, (name, matrix) in enumerate(maps.items()):
            check = "bad" if name in rejected else "good"
            writer.writerow((i, name, json.dumps(matrix), check, "[]"))


def prepared(original: Path, *options: str) -> Path:
    to = original.parent / "gender"
    assert main(["gender", "--from", str(original), "--to", str(to), *options]) == 0
    return to


def test_prompts_have_three_levels(original):
    to = prepared(original)
    both = np.asarray(Image.open(to / "masks" / "men" / "train_train_men0.png"))
    want = np.array([[128] * 4 + [255] * 4] * 3 + [[0] * 4 + [128] * 4] * 3)  # marked twice: grey
    assert np.array_equal(both, want)
    one = np.asarray(Image.open(to / "masks" / "men" / "train_train_men1.png"))
    assert np.array_equal(one, [[255] * 8] * 3 + [[128] * 8] * 3)
    none = np.asarray(Image.open(to / "masks" / "men" / "train_train_men2.png"))
    assert np.array_equal(none, np.full((6, 8), 128))


def test_published_splits_and_annotated_training_pictures(original, capsys):
    prepared(original)
    assert "wrote 9 men, 9 women to" in capsys.readouterr().out
    data = load("gender", original.parent, size=8, train=2, fit="stretch", mask="factual")
    assert data.classes == ("men", "women")
    assert {name: len(part) for name, part in data.splits.items()} == {
        "train": 2, "validation": 6, "test": 6,
    }  # fmt: skip
    for part in data.splits.values():
        assert torch.equal(part.labels, (part.images.float().mean((1, 2, 3)) > 120).long())
    # the one annotated woman, and one of two men: a top half, of which one man's left is undecided
    train = data.splits["train"]
    assert (train.masks[train.labels == 1][0, :3] == 255).all()
    assert not train.masks[:, 5:].any()
    assert train.annotated.all() and not data.splits["test"].annotated.any()
    assert (train.known == train.annotated[:, None, None]).all()
    prompts = load("gender", original.parent, size=8, train=2, fit="stretch").splits
    assert not prompts["test"].known.any() and not prompts["test"].masks.any()
    # said is the top half; and, of the man who has both maps, the left below it
    known = prompts["train"].known[prompts["train"].labels == 1][0]
    assert known[:3].all() and not known[5:].any()


def test_all_training_pictures(original):
    prepared(original)
    data = load("gender", original.parent, size=8, train=0, annotated=False)
    assert len(data.splits["train"]) == 6
    with pytest.raises(UserError, match=r"train=4 needs 2 pictures .* only 1 women left"):
        load("gender", original.parent, size=8, train=4)


def test_mistakes(original, tmp_path):
    where = ["--from", str(original), "--to", str(tmp_path / "gender")]
    with pytest.raises(UserError, match=r"scene was not found; .*}/nature/.*YuyangGao/RES"):
        main(["scene", *where[:2], "--to", str(tmp_path / "scene")])
    with pytest.raises(
        UserError, match=r"looked for .*gender/samples\.csv.*supervised.data.prepare"
    ):
        load("gender", tmp_path)
    table = original / "attention_label" / "men_factual.csv"
    table.write_text("img_idx,attention,img_check\ntrain_men0,[1,good\n")
    with pytest.raises(
        UserError, match=r"men_factual\.csv: the attention of train_men0 is not a mat"
    ):
        main(["gender", *where])
    table.unlink()
    (original / "attention_label" / "men_counterfactual.csv").unlink()
    with pytest.raises(UserError, match=r"annotations of gender was not found"):
        main(["gender", *where])
    assert not (tmp_path / "gender").exists()


def test_a_finished_folder_is_kept(original):
    to = prepared(original)
    with pytest.raises(UserError, match="already holds a prepared set"):
        prepared(original)
    assert (to / "samples.csv").is_file()


@pytest.mark.parametrize(
    ("what", "content"), [*spoilt(GOOD), *matrices()], ids=lambda value: str(value)[:30]
)
def test_tables_that_are_spoilt_are_refused_by_name(original, what, content):
    table = original / "attention_label" / "men_factual.csv"
    table.write_bytes(content)
    with pytest.raises(UserError) as error:
        main(["gender", "--from", str(original), "--to", str(original.parent / "out")])
    assert str(table) in str(error.value) and str(error.value).isprintable()
    assert not (original.parent / "out").exists()


PREPARED = b"class,image,subject,split,annotated\na,x.png,s,train,1\n"


@pytest.mark.parametrize(
    ("what", "content"), [*spoilt(PREPARED)], ids=lambda value: str(value)[:30]
)
def test_a_table_of_a_prepared_set_that_is_spoilt_is_refused(tmp_path, what, content):
    (tmp_path / "samples.csv").write_bytes(PREPARED)
    assert len(read_table(tmp_path / "samples.csv")) == 1
    (tmp_path / "samples.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"samples\.csv"):
        read_table(tmp_path / "samples.csv")
