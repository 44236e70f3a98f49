"""MNIST-like sets: read from idx files in every layout, digits from scikit-learn."""

import gzip
import struct

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torchvision.datasets import MNIST

from rl_attn.errors import UserError
from rl_attn.supervised.data import load
from rl_attn.supervised.data.grey import grey_pictures


@pytest.fixture
def raw() -> dict[str, bytes]:
    """Four tiny idx files: 40 training and 20 test pictures of ten classes."""
    generator, files = np.random.default_rng(0), {}
    for part, n in (("train", 40), ("t10k", 20)):
        images = generator.integers(256, size=(n, 28, 28), dtype=np.uint8)
        labels = np.arange(n, dtype=np.uint8) % 10
        files[f"{part}-images-idx3-ubyte"] = (
            struct.pack(">iiii", 2051, n, 28, 28) + images.tobytes()
        )
        files[f"{part}-labels-idx1-ubyte"] = struct.pack(">ii", 2049, n) + labels.tobytes()
    return files


@pytest.mark.parametrize("folder", ["MNIST/raw", "mnist", "."])
@pytest.mark.parametrize("zipped", [True, False])
def test_every_layout_is_read(tmp_path, raw, folder, zipped):
    place = tmp_path / folder
    place.mkdir(parents=True, exist_ok=True)
    for name, data in raw.items():
        (place / (name + ".gz" * zipped)).write_bytes(gzip.compress(data) if zipped else data)
    source = grey_pictures("mnist", tmp_path)
    assert source.images.shape == (40, 28, 28) and source.test_images.shape == (20, 28, 28)
    assert source.images.numpy().tobytes() == raw["train-images-idx3-ubyte"][16:]
    assert source.test_labels.tolist() == [*range(10), *range(10)]


def test_a_root_without_the_set(tmp_path, monkeypatch):
    def offline(self):
        raise RuntimeError("no route to host")

    monkeypatch.setattr(MNIST, "download", offline)
    with pytest.raises(UserError) as error:
        load("mnist", tmp_path)
    assert str(tmp_path / "MNIST" / "raw") in str(error.value)
    assert "no route to host" in str(error.value) and "digits, which needs none" in str(error.value)


def test_a_truncated_file(tmp_path, raw):
    for name, data in raw.items():
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(data)[:-40])
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte\.gz is damaged"):
        load("mnist", tmp_path)


def test_digits_are_scikit_learns_centred_and_each_used_once():
    data = load("digits")
    sizes = {name: len(split) for name, split in data.splits.items()}
    assert sum(sizes.values()) == 1797 and sizes["test"] == 360
    images = torch.cat([split.images for split in data.splits.values()])
    assert images.shape == (1797, 1, 28, 28)
    frame = torch.ones(28, 28, dtype=torch.bool)
    frame[4:24, 4:24] = False
    assert not images[:, 0, frame].any()
    # Averaged back to 8x8 they are close to the originals, whatever the order.
    small = torch.nn.functional.adaptive_avg_pool2d(images[:, :, 4:24, 4:24].float(), 8)
    ours = small.flatten(1).sum(1).sort().values
    theirs = torch.from_numpy(load_digits().data * 255 / 16).sum(1).sort().values
    assert (ours / theirs - 1).abs().max() < 0.05


def test_masks_are_the_ink_and_follow_a_resize():
    data = load("digits", size=56)
    part = data.splits["train"]
    assert part.images.shape[2:] == part.masks.shape[1:] == (56, 56)
    small = load("digits").splits["train"]
    assert set(small.masks.unique().tolist()) == {0, 255}
    assert torch.equal(small.masks == 255, small.images[:, 0] > 80)
    assert (part.masks.float().mean() - small.masks.float().mean()).abs() < 1


def test_the_validation_share_is_stratified_and_repeats():
    first, again = load("digits", validation=0.2), load("digits", validation=0.2)
    validation = first.splits["validation"]
    assert len(validation) == 288
    assert torch.bincount(validation.labels).min() >= 27
    assert torch.equal(validation.images, again.splits["validation"].images)
    with pytest.raises(UserError, match=r"validation is 1\.5"):
        load("digits", validation=1.5)


def test_real_mnist(data_root):
    if not (data_root / "mnist").is_dir():
        pytest.skip("no mnist in the folder with data")
    source = grey_pictures("mnist", data_root)
    assert source.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert source.images.float().mean().item() == pytest.approx(33.3184, abs=1e-3)
    assert torch.bincount(source.test_labels).tolist() == [
        *(980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)
    ]
