"""BUSI in its original layout, with lesions shown twice; and the real one."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rl_attn.errors import UserError
from rl_attn.supervised.data import fold, load
from rl_attn.supervised.data.duplicates import clusters, representatives


def texture(seed: int) -> np.ndarray:
    """A smooth random picture, unlike that of another seed."""
    coarse = np.random.default_rng(seed).integers(256, size=(8, 8), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((40, 30), Image.Resampling.BICUBIC))


@pytest.fixture
def original(tmp_path) -> Path:
    """Eight lesions a class; benign (2) shows that of benign (1), malignant (1) that of
    benign (3)."""
    shown = {("benign", 2): ("benign", 1), ("malignant", 1): ("benign", 3)}
    for c, name in enumerate(("normal", "benign", "malignant")):
        folder = tmp_path / "Dataset_BUSI_with_GT" / name
        folder.mkdir(parents=True)
        for i in range(1, 9):
            of, number = shown.get((name, i), (name, i))
            seed = 100 * ("normal", "benign", "malignant").index(of) + number
            picture = texture(seed).copy()
            if (name, i) in shown:
                picture[10:13, 10:13] = 255  # the sonographer's cross
            Image.fromarray(picture).save(folder / f"{name} ({i}).png")
            mask = np.zeros((30, 40), np.uint8)
            if c:
                mask[:15] = 255
            Image.fromarray(mask).save(folder / f"{name} ({i})_mask.png")
            if (name, i) == ("benign", 5):
                Image.fromarray(255 - mask).save(folder / f"{name} ({i})_mask_1.png")
    return tmp_path


def count(data, label: int) -> int:
    return sum(int((part.labels == label).sum()) for part in data.splits.values())


def test_duplicates_are_dropped_or_kept(original):
    kept = load("busi", original, size=32, duplicates="keep")
    assert [count(kept, label) for label in range(3)] == [8, 8, 8]
    clean = load("busi", original, size=32)
    # benign loses (2) and, as it is malignant (1) too, (3)
    assert [count(clean, label) for label in range(3)] == [8, 6, 7]


def test_masks_are_united_and_empty_for_normal(original):
    data = load("busi", original, size=32, duplicates="keep", fit="stretch")
    part = [split for split in data.splits.values()]
    labels = torch.cat([p.labels for p in part])
    masks = torch.cat([p.masks for p in part])
    cover = masks.float().mean((1, 2)) / 255
    assert not masks[labels == 0].any()
    assert sorted(cover[labels == 1].round(decimals=1).tolist()) == [0.5] * 7 + [1.0]


def test_clusters_hang_together_and_contradictions_go():
    generator = torch.Generator().manual_seed(0)
    one, two = (
        torch.randint(256, (1, 1, 32, 32), generator=generator).to(torch.uint8) for _ in range(2)
    )
    images = torch.cat([one, two, one // 2 + 20, two, one])
    found = clusters(images)
    assert found[0] == found[2] == found[4] != found[1] == found[3]
    assert representatives(found, torch.tensor([1, 0, 1, 0, 1])).tolist() == [0, 1]
    assert representatives(found, torch.tensor([1, 0, 0, 0, 1])).tolist() == [1]


def test_a_root_without_it(tmp_path):
    with pytest.raises(UserError, match=r"busi was not found; looked for .*Dataset_BUSI_with_GT"):
        load("busi", tmp_path)


def test_the_real_one(data_root):
    if not (data_root / "busi_256").is_dir():
        pytest.skip("no busi_256 in the folder with data")
    data = load("busi", data_root, size=32)
    assert [count(data, label) for label in range(3)] == [92, 316, 184]
    for part in data.splits.values():
        empty = part.masks.flatten(1).amax(1) == 0
        assert torch.equal(empty, part.labels == 0)
    dealt = fold(data, 3, 10, 0)
    sides = [clusters(torch.cat([dealt.splits[n].images for n in names])) for names in
             (("train", "test"), ("train", "validation"))]  # fmt: skip
    assert all(len(np.unique(side)) >= len(side) - 2 for side in sides)
