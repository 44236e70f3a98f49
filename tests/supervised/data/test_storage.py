"""Large tensors lie in files without a name, and hold what they would in memory."""

from pathlib import Path

import pytest
import torch

from rl_attn.supervised.data import storage
from rl_attn.supervised.data.storage import concatenation, room, rows


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Above 100 bytes is large."""
    monkeypatch.setattr(storage, "LARGE", 100)
    monkeypatch.setattr(storage, "user_cache_dir", lambda name: tmp_path)
    return tmp_path


def mapped(values: torch.Tensor, folder: Path) -> bool:
    """Whether it lies in a file of the folder, as the system says."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        first, last = (int(end, 16) for end in line.split()[0].split("-"))
        if first <= values.data_ptr() < last:
            return str(folder) in line
    return False


def test_what_is_large_is_a_file_that_goes_with_the_process(small):
    large, little = room((50, 3, 2)), room((5, 3, 2))
    assert mapped(large, small) and not mapped(little, small) and not list(small.iterdir())
    assert large.shape == (50, 3, 2) and large.dtype == torch.uint8
    assert room((30, 2), torch.int64).dtype == torch.int64 and room((0, 3)).shape == (0, 3)


@pytest.mark.parametrize("index", [torch.tensor([4, 299, 4]), torch.arange(300) % 3 == 0])
def test_rows_and_concatenation_are_what_torch_gives(small, index):
    values = torch.arange(900, dtype=torch.uint8).view(300, 3)
    assert torch.equal(rows(values, index), values[index])
    assert torch.equal(rows(values, slice(3, 9)), values[3:9])
    for large in (rows(values, torch.arange(300)), concatenation([values, values])):
        assert mapped(large, small)
    assert torch.equal(concatenation([values, values[:5]]), torch.cat([values, values[:5]]))
