"""Splits, patients and classes of a user's own folder: by folders and by a table."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rl_attn.errors import UserError
from rl_attn.supervised.data import fold, load


def picture(path: Path, value: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8), value % 256, np.uint8)).save(path)


def mask(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.eye(8, dtype=np.uint8) * 255).save(path)


def table(root: Path, rows: list[dict[str, str]]) -> None:
    with (root / "samples.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize("layout", ["images/{}/cat", "{}/images/cat", "{}/cat"])
def test_folders_that_are_splits(tmp_path, layout):
    splits = {"train": 6, "val": 2, "test": 2, "test-night": 3}
    for split, number in splits.items():
        for label in ("cat", "dog"):
            folder = layout.format(split).replace("cat", label)
            for i in range(number):
                picture(tmp_path / folder / f"{i}.png", i)
                if "images" in folder:
                    mask(tmp_path / folder.replace("images", "masks") / f"{i}.png")
                else:
                    mask(tmp_path / folder / f"{i}_mask.png")
    data = load("masked-folder", tmp_path)
    counts = {name: len(part) for name, part in data.splits.items()}
    assert counts == {"train": 12, "validation": 4, "test": 4, "test-night": 6}
    assert data.classes == ("cat", "dog") and not data.notes
    for name, part in data.splits.items():
        wanted = "val" if name == "validation" else name
        assert all(f"{wanted}/" in file for file in part.names) and part.masks.any()
    folded = fold(data, 1, 3, seed=0).splits  # another test is nobody's training data
    assert len(folded["train"]) + len(folded["validation"]) + len(folded["test"]) == 20
    assert len(folded["test-night"]) == 2


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """Twelve patients with two images each, half of them ill; no folders of classes."""
    for i in range(24):
        picture(tmp_path / "images" / f"{i}.png", 10 * i)
        mask(tmp_path / "masks" / f"{i}.png")
    return tmp_path


def rows_of(number: int = 24, **more) -> list[dict[str, str]]:
    labels = ("ill", "well")
    rows = [{"image": f"{i}.png", "label": labels[i // 2 % 2]} for i in range(number)]
    return [{**row, **{k: of(i) for k, of in more.items()}} for i, row in enumerate(rows)]


def test_patients_of_a_table_stay_together(flat):
    table(flat, rows_of(patient=lambda i: f"P{i // 2}"))
    data = load("masked-folder", flat, table="samples.csv")
    assert data.classes == ("ill", "well")
    whose = {name: set(part.subjects.tolist()) for name, part in data.splits.items()}
    assert all(len(part) == 2 * len(whose[name]) for name, part in data.splits.items())
    assert sum(map(len, whose.values())) == 12 and all(whose.values())
    assert all(len(part.labels.unique()) == 2 for part in data.splits.values())
    assert all(part.masks.flatten(1).any(1).all() for part in data.splits.values())
    tested = []
    for k in range(3):
        folded = fold(data, k, 3, seed=0).splits
        whose = [set(folded[name].subjects.tolist()) for name in ("train", "validation", "test")]
        assert sum(map(len, whose)) == len(set.union(*whose)) == 12
        tested += folded["test"].names.tolist()
    assert sorted(tested) == sorted(f"images/{i}.png" for i in range(24))


def test_spaces_around_a_cell_mean_nothing(flat):
    """A patient whose name is followed by a space in every second row is still one patient."""
    (flat / "masks").rename(flat / "drawn")
    cells = {"mask": lambda i: f"drawn/{i}.png", "patient": lambda i: f"P{i // 2}"}
    table(flat, rows_of(**cells))
    plain = load("masked-folder", flat, table="samples.csv").splits
    padded = [
        {column: f" {cell} " if i % 2 else cell for column, cell in row.items()}
        for i, row in enumerate(rows_of(**cells))
    ]
    table(flat, padded)
    splits = load("masked-folder", flat, table="samples.csv").splits
    for name, part in splits.items():
        assert part.names.tolist() == plain[name].names.tolist() and part.masks.any()
    apart = [{**row, "split": "test" if i % 2 else "train"} for i, row in enumerate(padded)]
    table(flat, apart)
    with pytest.raises(UserError, match="P0 is in train and test: a patient belongs to one split"):
        load("masked-folder", flat, table="samples.csv")


def test_splits_of_a_table(flat):
    words = ("train", "train", "train", "test", "test-other")
    table(flat, rows_of(split=lambda i: words[i // 2 % 5], part=lambda i: str(i // 2)))
    splits = load("masked-folder", flat, table="samples.csv", seed=1).splits
    assert list(splits) == ["train", "validation", "test", "test-other"]
    own = {int(Path(name).stem) for name in splits["test-other"].names}
    assert own == {i for i in range(24) if i // 2 % 5 == 4}
    trained, checked = (set(splits[n].subjects.tolist()) for n in ("train", "validation"))
    assert checked and not trained & checked  # validation is taken from train, by patient


def test_a_table_of_some_images_with_masks_elsewhere(flat):
    (flat / "masks").rename(flat / "drawn")
    table(flat, rows_of(16, mask=lambda i: f"drawn/{i}.png"))
    data = load("masked-folder", flat, table="samples.csv")
    assert sum(map(len, data.splits.values())) == 16
    assert all(part.masks.any() for part in data.splits.values())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"split": lambda i: "trian"}, r"line 2 of .* has split 'trian': it must be train"),
        ({"split": lambda i: "train"}, "the splits are train: test is missing"),
        ({"split": lambda i: "" if i else "test"}, "23 problems .* has no split, and others have"),
        ({"lable": str}, r"unknown column of samples\.csv 'lable' \(did you mean label\?\)"),
        ({"patient": str, "part": str}, "has patient and part: keep the one"),
        ({"image": lambda i: f"{i}.jpg"}, r"24 images of .* are not below .*, such as 0\.jpg"),
        ({"image": lambda i: "0.png"}, r"has two rows of 0\.png: keep one"),
        ({"label": lambda i: ""}, "24 problems .* has no class"),
        (
            {"patient": lambda i: "P", "split": lambda i: "train" if i % 2 else "test"},
            "P is in test and train: a patient belongs to one split",
        ),
        ({"patient": lambda i: f"P{i % 2}"}, r"at least three patients .* too few of ill \(2\)"),
    ],
)
def test_tables_that_do_not_fit(flat, more, message):
    table(flat, rows_of(**more))
    with pytest.raises(UserError, match=message):
        load("masked-folder", flat, table="samples.csv")


def test_a_table_that_is_not_there(flat):
    with pytest.raises(UserError, match=r"table=none\.csv: there is neither"):
        load("masked-folder", flat, table="none.csv")


def test_several_labels_of_a_table(flat):
    """Whose attention is looked at is the rarest label's; no label is no mistake."""
    words = ["a;b", "a", "a ; c", ""]
    table(flat, [{"image": f"{i}.png", "label": words[i % 4]} for i in range(24)])
    data = load("masked-folder", flat, table="samples.csv", several="true")
    assert data.classes == ("a", "b", "c")
    for part in data.splits.values():
        for name, label, several in zip(part.names, part.labels, part.several, strict=True):
            kind = int(Path(name).stem) % 4
            assert several.tolist() == [kind < 3, kind == 0, kind == 2]
            assert int(label) == [1, 0, 2, 0][kind]
    total = sum(part.counts(3) for part in data.splits.values())
    assert total.tolist() == [18, 6, 6]
    folded = fold(data, 0, 3, seed=0).splits["train"]
    assert folded.several.shape == (8, 3) and folded[:2].several.shape == (2, 3)
    with pytest.raises(UserError, match=r"18 problems .*has labels a;b: say several=true"):
        load("masked-folder", flat, table="samples.csv")


def test_a_validation_that_cannot_be_taken_from_train(flat):
    table(flat, rows_of(split=lambda i: "train" if i < 3 else "test"))
    with pytest.raises(UserError, match="has a class with a single picture: name the pictures"):
        load("masked-folder", flat, table="samples.csv")


@pytest.mark.parametrize(("classes", "number", "validated"), [(2, 3, 2), (10, 5, 10), (2, 12, 4)])
def test_few_pictures_of_many_classes_are_validated_on_one_of_each(
    tmp_path, classes, number, validated
):
    """15 % of the pictures to train on may be fewer than there are classes."""
    for split in ("train", "test"):
        for i in range(classes * number):
            place = tmp_path / split / f"class {i % classes}" / f"{i}.png"
            picture(place, i)
            mask(place.with_stem(f"{i}_mask"))
    splits = load("masked-folder", tmp_path).splits
    assert len(splits["validation"]) == validated
    assert len(splits["train"]) == classes * number - validated
    for name in ("train", "validation"):
        assert len(splits[name].labels.unique()) == classes


@pytest.mark.parametrize("seed", range(4))
def test_validation_leaves_a_class_of_one_patient_to_train_on(flat, seed):
    """To train on there are ten pictures of one ill patient, and of three who are well."""

    def whose(i: int) -> str:
        return f"well {min(i // 7, 2) + i // 20 * 3}" if i // 2 % 2 else f"ill {i // 20}"

    table(flat, rows_of(patient=whose, split=lambda i: "train" if i < 20 else "test"))
    splits = load("masked-folder", flat, table="samples.csv", seed=seed).splits
    assert splits["train"].labels.bincount()[0] == 10
    assert len(splits["validation"]) > 0


def test_patients_too_few_to_validate_on_are_refused(flat):
    whose = {"patient": lambda i: f"{i // 20}{i // 2 % 2}"}  # in train one of each class
    table(flat, rows_of(**whose, split=lambda i: "train" if i < 20 else "test"))
    with pytest.raises(UserError, match="too few to leave each class some: name the pictures"):
        load("masked-folder", flat, table="samples.csv")


def test_tables_as_spreadsheets_write_them(flat):
    table(flat, rows_of())
    file = flat / "samples.csv"
    text = file.read_text()
    plain = load("masked-folder", flat, table="samples.csv")
    file.write_text(text, encoding="utf-8-sig")
    again = load("masked-folder", flat, table="samples.csv")
    assert plain.splits["train"].names.tolist() == again.splits["train"].names.tolist()
    for changed, message in (
        (text.replace(",", ";"), "no column image: its first line .* is image;label"),
        (text.replace("image,label", "image,label,label"), "two columns of one name"),
        (text.replace(",ill", ",ill, very"), "line 2 of .* has more cells than"),
        (text + f"{flat.absolute()}/images/0.png,ill\n", "1 images of .* are not below"),
        (text + "../images/0.png,ill\n", "1 images of .* are not below"),
        (text + "images/../images/0.png,ill\n", "two rows of 0.png"),
    ):
        file.write_text(changed)
        with pytest.raises(UserError, match=message):
            load("masked-folder", flat, table="samples.csv")
