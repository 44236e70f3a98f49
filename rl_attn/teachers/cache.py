"""Masks made while training goes on, each picture's once: left to the future by Learning to Look.

    masks = MaskCache(teacher, capacity=100_000)
    for images, labels in batches:
        attention_loss(..., masks(images, labels))

A picture is known by its bytes and its label, so the order of the batches does not matter, nor does
where a picture comes from. What is unknown in a batch is labelled together; what was not used for
longest goes when the cache is full. Letters: B pictures, C channels, H x W pixels.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor

from rl_attn.teachers.teacher import Taught


class MaskCache:
    """Calls `teacher(images, labels)` for the pictures it has not seen."""

    def __init__(self, teacher: Callable[[Tensor, Tensor | None], Taught], capacity: int):
        """`capacity` is a number of masks, H x W bytes each."""
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, got {capacity}")
        self.teacher, self.capacity = teacher, capacity
        self.hits = self.misses = 0
        self._kept: OrderedDict[bytes, Tensor] = OrderedDict()  # uint8 (H, W), on the CPU

    def __len__(self) -> int:
        return len(self._kept)

    def __call__(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """uint8 (B, C, H, W), (B,) -> masks (B, H, W) in [0, 1] on the pictures' device.

        Masks are kept as bytes, and given back as such the first time too: the same picture
        always has the same mask.
        """
        keys = self._keys(images, labels)
        first = {key: row for row, key in reversed(list(enumerate(keys)))}  # a key's first row
        new = [row for key, row in first.items() if key not in self._kept]
        found = {key: self._kept[key] for key in first if key in self._kept}
        if new:
            rows = torch.tensor(sorted(new), device=images.device)
            taught = self.teacher(images[rows], None if labels is None else labels[rows])
            made = (taught.masks * 255).round().byte().cpu()
            found |= {keys[row]: mask for row, mask in zip(rows.tolist(), made, strict=True)}
        self.misses += len(new)
        self.hits += len(keys) - len(new)
        self._keep(found)
        return torch.stack([found[key] for key in keys]).to(images.device) / 255

    def _keys(self, images: Tensor, labels: Tensor | None) -> list[bytes]:
        pictures = images.contiguous().cpu().numpy()
        said = [-1] * len(images) if labels is None else labels.tolist()
        return [
            hashlib.blake2b(picture.tobytes(), digest_size=16, key=f"{label}".encode()).digest()
            for picture, label in zip(pictures, said, strict=True)
        ]

    def _keep(self, used: dict[bytes, Tensor]) -> None:
        for key, mask in used.items():
            self._kept[key] = mask.clone()  # not a view that would keep its whole batch alive
            self._kept.move_to_end(key)
        while len(self._kept) > self.capacity:
            self._kept.popitem(last=False)
