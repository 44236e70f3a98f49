"""Pictures of where a network looks: a few test pictures, one of each class."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from rl_attn.pictures import captioned, enlarged, grid, heat, side_by_side
from rl_attn.run.files import replacing
from rl_attn.supervised.batches import Batches
from rl_attn.supervised.evaluation import at_rest, attention_of
from rl_attn.supervised.network import Network

#: Pictures are enlarged by whole pixels until they are this high.
HEIGHT = 112


class Sample:
    """The first picture of each class of a split, up to `count`."""

    def __init__(self, batches: Batches, count: int = 6):
        labels = batches.split.labels.cpu()
        first = [int((labels == label).nonzero()[0]) for label in labels.unique()]
        masks = batches.split.masks
        if masks is not None:  # rather one with something to look at
            on = (masks.flatten(1).amax(1) > 127).cpu()
            for i, label in enumerate(labels.unique()):
                marked = ((labels == label) & on).nonzero()
                first[i] = int(marked[0]) if len(marked) else first[i]
        self.batches, self.index = batches, torch.tensor(first[:count])
        batch = batches.take(self.index)
        view, x = batches.view, batch.pictures
        bytes_ = (x * view.std[:, None, None] + view.mean[:, None, None]).clamp(0, 1) * 255
        self.frames = bytes_.round().byte().permute(0, 2, 3, 1).cpu().numpy()  # (n, H, W, C)
        self.size = self.frames.shape[1:3]
        shape = (len(x), *self.size)
        masks = torch.zeros(shape) if batch.masks is None else batch.masks.cpu()
        self.masks = masks.numpy()

    def attention(self, network: Network) -> Tensor:
        """(n, H, W) in [0, 1], on the CPU; of several networks the first one's."""
        with at_rest(network):
            repeated = self.batches.take(self.index.repeat(network.copies))
            attention = attention_of(network, repeated)[1][: len(self.index)]
            return attention.upsample(self.size).float().cpu()

    def arrays(self, attention: Tensor) -> dict[str, np.ndarray]:
        """frames (n, H, W, C) uint8, masks and attention (n, H, W) in [0, 1], for a file."""
        return {"frames": self.frames, "masks": self.masks, "attention": attention.numpy()}

    def picture(self, attention: Tensor) -> np.ndarray:
        """frame | mask | attention, a row a picture, RGB uint8."""
        maps, scale = attention.numpy(), max(1, HEIGHT // self.size[0])
        rows = zip(self.frames, self.masks, maps, strict=True)
        return grid([side_by_side(*row, scale=scale) for row in rows])

    def before_and_after(self, before: Tensor, after: Tensor) -> np.ndarray:
        """frame | mask | attention before | after training, RGB uint8."""
        scale, rows = max(1, HEIGHT // self.size[0]), []
        maps = zip(self.frames, self.masks, before.numpy(), after.numpy(), strict=True)
        for frame, mask, early, late in maps:
            row = side_by_side(frame, mask, early, scale)
            rgb = enlarged(frame if frame.shape[2] == 3 else frame.repeat(3, axis=2), scale)
            gap = np.full((len(row), 2, 3), 255, np.uint8)
            rows.append(np.hstack([row, gap, heat(rgb, late)]))
        return captioned(grid(rows), ["picture", "mask", "before", "after"], height=20)


def save(picture: np.ndarray, file: Path) -> None:
    """A PNG; the folder is made where it is missing."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as scratch:
        Image.fromarray(picture).save(scratch, "PNG")
