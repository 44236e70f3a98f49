"""A user's own folder, in both layouts, and the masks of a teacher."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rl_attn.errors import UserError
from rl_attn.supervised.data import load
from rl_attn.supervised.data.found import found
from rl_attn.supervised.data.replaced import with_masks


def make(root: Path, beside: bool, counts: dict[str, int], mask_size: int = 12) -> Path:
    for value, (name, count) in enumerate(counts.items()):
        images = root / name if beside else root / "images" / name
        masks = root / name if beside else root / "masks" / name
        for folder in (images, masks):
            folder.mkdir(parents=True, exist_ok=True)
        for i in range(count):
            picture = np.full((12, 12, 3), 100 * value + i, np.uint8)
            mask = np.zeros((mask_size, mask_size), np.uint8)
            mask[:, : mask_size // 2] = 255
            Image.fromarray(picture).save(images / f"{i}.png")
            Image.fromarray(mask).save(masks / (f"{i}_mask.png" if beside else f"{i}.png"))
    return root


@pytest.mark.parametrize("beside", [True, False])
def test_both_layouts(tmp_path, beside):
    data = load("masked-folder", make(tmp_path, beside, {"cat": 10, "dog": 6}), size=12)
    assert data.classes == ("cat", "dog")
    assert {name: len(part) for name, part in data.splits.items()} == {
        "train": 10, "validation": 3, "test": 3,
    }  # fmt: skip
    for part in data.splits.values():
        assert torch.equal(part.labels, (part.images[:, 0, 0, 0] >= 100).long())
        assert (part.masks[:, :, :6] == 255).all() and not part.masks[:, :, 6:].any()
    everything = torch.cat([part.images[:, 0, 0, 0] for part in data.splits.values()])
    assert len(everything.unique()) == 16


def test_masks_that_do_not_fit_are_all_named(tmp_path):
    make(tmp_path, False, {"cat": 4, "dog": 4}, mask_size=6)
    with pytest.raises(UserError, match=r"^8 problems .*each is 6x6, its picture 0\.png 12x12"):
        load("masked-folder", tmp_path)


def test_missing_masks_are_named_or_allowed(tmp_path):
    make(tmp_path, True, {"cat": 4, "dog": 4})
    (tmp_path / "dog" / "2_mask.png").unlink()
    with pytest.raises(UserError, match=r"1 problem .*dog/2_mask\.png is missing"):
        load("masked-folder", tmp_path)
    data = load("masked-folder", tmp_path, allow_missing="true")
    assert sum(int((~part.annotated).sum()) for part in data.splits.values()) == 1
    for part in data.splits.values():  # unknown everywhere, which is not "nothing matters"
        if part.known is not None:
            assert (part.known.flatten(1).any(1) == part.known.flatten(1).all(1)).all()
            assert not part.masks[~part.annotated].any()
    assert "12.5% of the images not annotated" in found(data)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"cat": 5, "dog": 1}, r"4 pictures each .*; too few of dog \(1\)"),
        ({"cat": 5}, "too few of classes: only cat"),
        ({}, r"masked-folder was not found; looked for .*images/<class>"),
    ],
)
def test_folders_that_nothing_can_be_learned_from(tmp_path, counts, message):
    with pytest.raises(UserError, match=message):
        load("masked-folder", make(tmp_path, True, counts))


def test_the_folder_must_be_named():
    with pytest.raises(UserError, match="name it as data root"):
        load("masked-folder")


@pytest.fixture
def teacher(tmp_path) -> Path:
    """Masks for the digits: floats for one split, files for another."""
    splits = load("digits").splits
    np.save(tmp_path / "train.npy", np.full((len(splits["train"]), 28, 28), 0.2, np.float32))
    (tmp_path / "validation").mkdir()
    for i in range(len(splits["validation"])):
        mask = np.full((28, 28), i, np.uint8)
        Image.fromarray(mask).save(tmp_path / "validation" / f"{i:06d}.png")
    return tmp_path


def test_masks_from_elsewhere(teacher):
    own, data = load("digits"), load("digits", masks=str(teacher))
    assert (data.splits["train"].masks == 51).all()
    assert data.splits["validation"].masks[:, 3, 3].tolist() == [*range(144)]
    assert torch.equal(data.splits["test"].masks, own.splits["test"].masks)
    assert str(teacher) in data.mask_meaning


def test_masks_from_elsewhere_that_do_not_fit(teacher):
    np.save(teacher / "train.npy", np.zeros((3, 28, 28), np.uint8))
    np.save(teacher / "test.npy", np.full((360, 28, 28), 1.5))
    (teacher / "validation" / "000007.png").unlink()
    with pytest.raises(UserError) as error:
        load("digits", masks=teacher)
    message = str(error.value)
    assert "(3, 28, 28), the pictures (1293, 28, 28)" in message
    assert "lacks 1 of 144 masks, first 000007" in message
    assert "numbers from 0 to 1" in message and "from 1.5 to 1.5" in message
    with pytest.raises(UserError, match=r"2 problems .*neither .*train\.npy nor a folder"):
        load("digits", masks=teacher / "nowhere")


def test_masks_from_elsewhere_find_their_pictures_by_name(tmp_path):
    """In whatever split they are: as `masks` writes them, and as files of the same names."""
    root = make(tmp_path / "set", False, {"cat": 8, "dog": 8})
    first, again = (load("masked-folder", root, seed=seed) for seed in (0, 1))
    names = {name: part.names.tolist() for name, part in first.splits.items()}
    assert names["test"] != again.splits["test"].names.tolist()
    folder = tmp_path / "arrays"
    folder.mkdir()
    shades = {
        name: 10 + i for i, name in enumerate(sorted(n for part in names.values() for n in part))
    }
    for split, listed in names.items():
        masks = np.stack([np.full((12, 12), shades[name], np.uint8) for name in listed])
        np.save(folder / f"{split}.npy", masks)
    (folder / "names.json").write_text(json.dumps(names))
    files = tmp_path / "files"
    for name, shade in shades.items():
        file = files / name.removeprefix("images/").replace(".png", ".bmp")
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((12, 12), shade, np.uint8)).save(file)
    for place in (folder, files):
        for part in with_masks(again, place).splits.values():
            assert part.masks[:, 0, 0].tolist() == [shades[name] for name in part.names]
    (files / "cat" / "0.bmp").unlink()
    with pytest.raises(UserError, match=r"files lacks 1 of \d+ masks, such as images/cat/0"):
        with_masks(again, files, required=("train", "validation", "test"))
    (folder / "names.json").write_text("[1]")
    with pytest.raises(UserError, match=r"names\.json is damaged"):
        with_masks(again, folder)
