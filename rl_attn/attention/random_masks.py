"""Random masks without keeping them: a block at a time, and the same again on the next pass.

    masks = RandomMasks(5000, (224, 224), cells=None, keep=0.1, generator=generator)
    for block in masks:                                            # (n, H, W), n up to BLOCK

Each block has a seed of its own, so that N masks need the memory of one block, and going through
them twice, to score them and to average them, costs drawing them twice. Letters: N masks.
"""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

#: Masks that are drawn together.
BLOCK = 64


class RandomMasks:
    """(N, H, W) masks in [0, 1] with mean `keep`.

    Binary cells, each on with probability `keep`, are upsampled bilinearly to a little more than
    the size and cut at a random offset of up to one cell (RISE, Petsiuk et al. 2018, Sec. 3.2).
    With `cells` None they are binary pixels.

    `balanced` draws each cell in a block by Latin hypercube sampling: in one mask it is as random
    as ever, and independent of the other cells, but of n masks it is on in keep * n, rounded up or
    down. A mean over masks is as right as with independent masks and has less noise.

    >>> masks = RandomMasks(64, (8, 8), (2, 2), generator=torch.Generator().manual_seed(0))
    >>> masks.number, masks.size
    (64, (8, 8))
    """

    def __init__(
        self,
        number: int,
        size: tuple[int, int],
        cells: tuple[int, int] | None = (7, 7),
        keep: float = 0.5,
        *,
        balanced: bool = False,
        generator: torch.Generator | None = None,
    ):
        if number < 1 or not 0 < keep <= 1:
            raise ValueError(
                f"masks need a number above 0 and keep in (0, 1], got {number}, {keep}"
            )
        self.number, self.size, self.cells, self.keep = number, size, cells, keep
        self.balanced = balanced
        self.seed = int(torch.randint(2**62, (), generator=generator))

    def __len__(self) -> int:
        return self.number

    def __iter__(self) -> Iterator[Tensor]:
        """Blocks (n, H, W) float32 on the CPU."""
        for first in range(0, self.number, BLOCK):
            generator = torch.Generator().manual_seed(self.seed + first)
            yield self._block(min(BLOCK, self.number - first), generator)

    def _block(self, number: int, generator: torch.Generator) -> Tensor:
        if self.cells is None:
            return self._binary(number, self.size, generator)
        coarse = self._binary(number, (self.cells[0] + 1, self.cells[1] + 1), generator)
        cell = tuple(-(-self.size[axis] // self.cells[axis]) for axis in (0, 1))  # rounded up
        large = F.interpolate(
            coarse[:, None],
            size=tuple((self.cells[axis] + 1) * cell[axis] for axis in (0, 1)),
            mode="bilinear",
            align_corners=False,
        )[:, 0]
        down = torch.randint(cell[0], (number,), generator=generator).tolist()
        right = torch.randint(cell[1], (number,), generator=generator).tolist()
        cuts = zip(large, down, right, strict=True)
        height, width = self.size
        return torch.stack([m[d : d + height, r : r + width] for m, d, r in cuts]).clamp(0, 1)

    def _binary(self, number: int, shape: tuple[int, int], generator: torch.Generator) -> Tensor:
        """(n, *shape) of 0 and 1."""
        if not self.balanced:
            return (torch.rand(number, *shape, generator=generator) < self.keep).float()
        # Each cell is on in `whole` of the n masks, and by chance in one more: those in which its
        # draw is smallest. numpy finds them six times faster than torch sorts them all.
        cells = shape[0] * shape[1]
        whole = min(int(self.keep * number), number - 1)
        draws = torch.rand(cells, number, generator=generator)
        order = torch.from_numpy(np.argpartition(draws.numpy(), whole, axis=1))[:, : whole + 1]
        one_more = torch.rand(cells, 1, generator=generator) < self.keep * number - whole
        on = torch.ones(cells, whole + 1)
        on[:, whole:] = one_more
        chosen = torch.zeros(cells, number).scatter_(1, order, on)
        return chosen.T.reshape(number, *shape)
