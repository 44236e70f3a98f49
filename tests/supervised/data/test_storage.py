"""Large tensors lie in files without a name, and hold what they would in memory."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from rl_attn.errors import UserError
from rl_attn.supervised.data import load, storage
from rl_attn.supervised.data.storage import concatenation, mapped, moved, room, rows


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """Where files lie; what is taken out of one lies in memory up to 100 bytes."""
    monkeypatch.setattr(storage, "LITTLE", 100)
    monkeypatch.setattr(storage, "user_cache_dir", lambda name: tmp_path)
    return tmp_path


def lies_in(values: torch.Tensor, folder: Path) -> bool:
    """Whether it is a file of the folder, as the system says."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        first, last = (int(end, 16) for end in line.split()[0].split("-"))
        if first <= values.data_ptr() < last:
            return str(folder) in line
    return False


def test_what_is_large_is_a_file_that_goes_with_the_process(folder):
    large, little = room((50, 3, 2), large=True), room((5, 3, 2))
    assert lies_in(large, folder) and not lies_in(little, folder) and not list(folder.iterdir())
    assert mapped(large) and mapped(large[3:9]) and not mapped(little)
    assert moved(large, "meta") is large and moved(little, "meta").device.type == "meta"
    assert large.shape == (50, 3, 2) and large.dtype == torch.uint8
    assert room((30, 2), torch.int64, large=True).dtype == torch.int64
    assert room((0, 3), large=True).shape == (0, 3)


@pytest.mark.parametrize("index", [torch.tensor([4, 299, 4]), torch.arange(300) % 3 == 0])
def test_rows_and_concatenation_are_what_torch_gives(folder, index):
    plain = torch.arange(900, dtype=torch.uint8).view(300, 3)
    values = room((300, 3), large=True).copy_(plain)
    for source in (plain, values):
        assert torch.equal(rows(source, index), plain[index])
        assert torch.equal(rows(source, slice(3, 9)), plain[3:9])
        assert torch.equal(concatenation([source, source[:5]]), torch.cat([plain, plain[:5]]))
    for large in (rows(values, torch.arange(300)), concatenation([plain, values])):
        assert lies_in(large, folder)
    for little in (rows(values, torch.arange(9)), rows(plain, torch.arange(300))):
        assert not lies_in(little, folder)


def test_a_full_disk_is_told_before_a_pixel_is_written(folder):
    with pytest.raises(UserError, match=r"the pixels need 4611686018.4 GB in .*: make room"):
        room((2**62,), large=True)
    assert not list(folder.iterdir())


def test_splits_of_a_large_folder_are_parts_of_one_file(folder, monkeypatch):
    """Of 16 images the 12 that train are not copied, and hold what they hold in memory."""
    for i in range(16):
        place = folder / "set" / "ab"[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (i, 0, 0)).save(place / f"{i}.png")
        Image.new("L", (4, 4), 255).save(place / f"{i}_mask.png")
    plain = load("masked-folder", folder / "set")
    monkeypatch.setattr(storage, "LARGE", 0)
    large = load("masked-folder", folder / "set")
    bases = {split.images.untyped_storage().data_ptr() for split in large.splits.values()}
    assert len(bases) == 1 and all(mapped(split.masks) for split in large.splits.values())
    for name, split in plain.splits.items():
        assert torch.equal(split.images, large.splits[name].images)
        assert list(split.names) == list(large.splits[name].names)
        numbers = [int(Path(file).stem) for file in split.names]
        assert split.images[:, 0, 0, 0].tolist() == numbers
        assert split.labels.tolist() == [i % 2 for i in numbers]
