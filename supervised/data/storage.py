"""Room for a set's pixels: memory, or above `LARGE` bytes a file on the disk.

Images are decoded once, into such a file, and its pages are read where batches need them; what the
system keeps of them in memory it gives back when memory is short. Tensors are the same in both, and
so are all numbers to the digit. The file has no name and goes with the process.
"""

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from platformdirs import user_cache_dir
from torch import Tensor

#: Bytes of one tensor above which it lies on the disk.
LARGE = 2**31
#: Samples that are copied at a time.
_CHUNK = 256


def room(shape: Sequence[int], dtype: torch.dtype = torch.uint8) -> Tensor:
    """An uninitialised tensor on the CPU."""
    size = math.prod(shape) * dtype.itemsize
    if size <= LARGE or not size:
        return torch.empty(tuple(shape), dtype=dtype)
    folder = Path(user_cache_dir("rl-attn"))  # not a temporary folder, which may lie in memory
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        mapped = np.memmap(file, np.uint8, "w+", shape=(size,))
    return torch.from_numpy(mapped).view(dtype).view(tuple(shape))


def rows(values: Tensor, index: Tensor | slice) -> Tensor:
    """values[index], in a file where that is large."""
    if isinstance(index, slice) or values.device.type != "cpu" or values.nbytes <= LARGE:
        return values[index]
    chosen = index.nonzero()[:, 0] if index.dtype == torch.bool else index
    taken = room((len(chosen), *values.shape[1:]), values.dtype)
    for first in range(0, len(chosen), _CHUNK):
        part = slice(first, first + _CHUNK)
        taken[part] = values[chosen[part]]
    return taken


def concatenation(parts: Sequence[Tensor]) -> Tensor:
    """torch.cat(parts), in a file where that is large."""
    if parts[0].device.type != "cpu" or sum(part.nbytes for part in parts) <= LARGE:
        return torch.cat(tuple(parts))
    whole = room((sum(map(len, parts)), *parts[0].shape[1:]), parts[0].dtype)
    first = 0
    for part in parts:
        whole[first : first + len(part)] = part
        first += len(part)
    return whole
