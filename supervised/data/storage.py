"""Room for a set's pixels: memory, or above `LARGE` bytes files on the disk.

Images are decoded once, into such a file, and its pages are read where batches need them; what the
system keeps of them in memory it gives back when memory is short. Tensors are the same in both, and
so are all numbers to the digit. A file has no name and goes with the process. Tensors in files stay
on the CPU, whatever the device is; batches of them are moved there.
"""

import math
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from platformdirs import user_cache_dir
from torch import Tensor

from rl_attn.errors import UserError

#: Bytes of a set's pixels above which they lie on the disk.
LARGE = 2**31
#: Bytes of what is taken out of such a file below which it lies in memory.
LITTLE = 2**26
#: Samples that are copied at a time.
_CHUNK = 256


def mapped(values: Tensor) -> bool:
    """Whether they lie in a file."""
    return values.device.type == "cpu" and values.untyped_storage().filename is not None


def moved(values: Tensor, device: torch.device | str) -> Tensor:
    """On the device; what lies in a file stays there."""
    return values if mapped(values) else values.to(device)


def room(shape: Sequence[int], dtype: torch.dtype = torch.uint8, large: bool = False) -> Tensor:
    """An uninitialised tensor on the CPU, `large`: in a file. UserError: the disk is full."""
    size = math.prod(shape) * dtype.itemsize
    if not large or not size:
        return torch.empty(tuple(shape), dtype=dtype)
    folder = Path(user_cache_dir("rl-attn"))  # not a temporary folder, which may lie in memory
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        try:  # now, since a write to a page that the disk has no room for ends the process
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            raise UserError(
                f"the pixels need {size / 1e9:.1f} GB in {folder} ({error.strerror}): make room, "
                "or name another cache folder by XDG_CACHE_HOME"
            ) from None
        values = torch.from_file(file.name, shared=True, size=size, dtype=torch.uint8)
    return values.view(dtype).view(tuple(shape))


def rows(values: Tensor, index: Tensor | slice) -> Tensor:
    """values[index], in a file where those are and there are many."""
    if isinstance(index, slice) or not mapped(values):
        return values[index]
    chosen = index.nonzero()[:, 0] if index.dtype == torch.bool else index
    shape = (len(chosen), *values.shape[1:])
    taken = room(shape, values.dtype, math.prod(shape) * values.itemsize > LITTLE)
    for first in range(0, len(chosen), _CHUNK):
        part = slice(first, first + _CHUNK)
        taken[part] = values[chosen[part]]
    return taken


def concatenation(parts: Sequence[Tensor]) -> Tensor:
    """torch.cat(parts), in a file where one of them is."""
    if not any(map(mapped, parts)):
        return torch.cat(tuple(parts))
    whole = room((sum(map(len, parts)), *parts[0].shape[1:]), parts[0].dtype, large=True)
    first = 0
    for part in parts:
        whole[first : first + len(part)] = part
        first += len(part)
    return whole
