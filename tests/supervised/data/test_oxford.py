"""Pets and flowers, laid out as their archives are, without the network."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from torchvision.datasets import Flowers102, OxfordIIITPet

from rl_attn.errors import UserError
from rl_attn.supervised.data import load

TRIMAP = np.repeat(np.array([[1, 1, 3, 2]], np.uint8), 4, axis=0)


@pytest.fixture
def offline(monkeypatch):
    def no_pets(self):
        if not self._check_exists():
            raise RuntimeError("no route to host")

    def no_flowers(self):
        raise RuntimeError("no route to host")

    monkeypatch.setattr(OxfordIIITPet, "_download", no_pets)
    monkeypatch.setattr(Flowers102, "download", no_flowers)


@pytest.fixture
def pets(tmp_path) -> Path:
    base = tmp_path / "oxford-iiit-pet"
    (base / "images").mkdir(parents=True)
    (base / "annotations" / "trimaps").mkdir(parents=True)
    for part, numbers in (("trainval", range(10)), ("test", range(10, 14))):
        lines = []
        for label, breed in ((1, "Abyssinian"), (2, "pug")):
            for i in numbers:
                lines.append(f"{breed}_{i} {label} {label} 1")
                image = Image.fromarray(np.full((4, 4, 3), 50 * label, np.uint8))
                image.save(base / "images" / f"{breed}_{i}.jpg")
                Image.fromarray(TRIMAP).save(base / "annotations" / "trimaps" / f"{breed}_{i}.png")
        (base / "annotations" / f"{part}.txt").write_text("\n".join(lines))
    return tmp_path


@pytest.mark.parametrize(("border", "columns"), [("pet", 3), ("background", 2), ("unknown", 2)])
def test_trimaps_become_masks(pets, offline, border, columns):
    data = load("oxford-pets", pets, size=4, border=border, validation=0.2)
    assert data.classes == ("Abyssinian", "Pug")
    assert [len(data.splits[n]) for n in ("train", "validation", "test")] == [16, 4, 8]
    for part in data.splits.values():
        on = part.masks == 255
        assert on[:, :, :columns].all() and not on[:, :, columns:].any()
        unknown = torch.zeros_like(on) if part.known is None else ~part.known
        assert unknown[:, :, 2].all() == (border == "unknown")
        assert not unknown[:, :, :2].any() and not unknown[:, :, 3:].any()
        assert torch.equal(part.labels, (part.images[:, 0, 0, 0] > 75).long())


@pytest.fixture
def flowers(tmp_path) -> Path:
    base = tmp_path / "flowers-102"
    (base / "jpg").mkdir(parents=True)
    (base / "segmim").mkdir()
    for i in range(1, 307):
        flower = np.zeros((8, 8, 3), np.uint8)
        flower[:, :4], flower[:, 4:] = (200, 180, 40), (0, 0, 254)
        Image.fromarray(np.full((8, 8, 3), i % 102, np.uint8)).save(base / f"jpg/image_{i:05d}.jpg")
        Image.fromarray(flower).save(base / f"segmim/segmim_{i:05d}.jpg", quality=95)
    savemat(base / "imagelabels.mat", {"labels": np.arange(306)[None] % 102 + 1})
    ids = np.arange(1, 307).reshape(3, 102)
    savemat(base / "setid.mat", {"trnid": ids[:1], "valid": ids[1:2], "tstid": ids[2:]})
    return tmp_path


def test_blue_is_the_background_of_flowers(flowers, monkeypatch):
    monkeypatch.setattr(Flowers102, "_check_integrity", lambda self: True)
    data = load("oxford-flowers", flowers, size=8)
    assert [len(part) for part in data.splits.values()] == [102] * 3
    for part in data.splits.values():
        assert sorted(part.labels.tolist()) == list(range(102))
        assert (part.masks[:, :, :3] == 255).all() and not part.masks[:, :, 5:].any()


@pytest.mark.parametrize("name", ["oxford-pets", "oxford-flowers"])
def test_without_files_or_network(tmp_path, offline, name):
    with pytest.raises(UserError, match=r"was not found; looked for .*no route to host"):
        load(name, tmp_path)
