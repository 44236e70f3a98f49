"""Pictures of where a network looks: a few test pictures, one of each class, or of each fifth of
the numbers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from rl_attn.attention import Attention, iou
from rl_attn.pictures import (
    attended,
    captioned,
    colour_bar,
    enlarged,
    grid,
    rgb_of,
    scale_of,
    side_by_side,
    strip,
)
from rl_attn.run.files import replacing
from rl_attn.supervised.batches import Batches
from rl_attn.supervised.data.deal import strata_of
from rl_attn.supervised.evaluation import at_rest, attention_of
from rl_attn.supervised.network import Network


class Sample:
    """The first picture of each class of a split (of numbers see `strata_of`), up to `count`."""

    def __init__(self, batches: Batches, count: int = 6):
        labels = strata_of(batches.split, least=1).cpu()
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
        """(n, H, W) in [0, 1] for pictures (`Attention.faded`), on the CPU; of several networks the
        first one's."""
        return self._asked(network)[1].faded(self.size).float().cpu()

    def _asked(self, network: Network) -> tuple[Tensor, Attention]:
        """Logits (n, classes) and attention of the first network."""
        with at_rest(network):
            repeated = self.batches.take(self.index.repeat(network.copies))
            logits, attention = attention_of(network, repeated)
        return logits[: len(self.index)], attention[: len(self.index)]

    def said(self, network: Network, classes: Sequence[str]) -> list[str]:
        """Under each picture: what it shows, what the (first) network predicts, the map's IoU."""
        logits, attention = self._asked(network)
        full = attention.upsample(self.size).float().cpu()
        overlap = iou(full, torch.from_numpy(self.masks)).tolist()
        task = self.batches.task
        truth = task.truth(self.batches.split[self.index], classes)
        predicted = task.words(task.predicted(logits), classes)
        return [
            f"{true}, predicted {said}" + (f", IoU {value:.2f}" if mask.any() else ", no mask")
            for true, said, value, mask in zip(truth, predicted, overlap, self.masks, strict=True)
        ]

    def arrays(self, attention: Tensor, said: Sequence[str]) -> dict[str, np.ndarray]:
        """frames (n, H, W, C) uint8, masks and attention (n, H, W) in [0, 1] and captions (n,), for
        a file."""
        pictures = {"frames": self.frames, "masks": self.masks, "attention": attention.numpy()}
        return pictures | {"captions": np.array(said)}

    def picture(self, attention: Tensor) -> np.ndarray:
        """frame | mask | attention, a row a picture, RGB uint8."""
        rows = zip(self.frames, self.masks, attention.numpy(), strict=True)
        return grid([side_by_side(frame, mask, seen, bar=True) for frame, mask, seen in rows])

    def before_and_after(self, before: Tensor, after: Tensor, said: Sequence[str]) -> np.ndarray:
        """frame | mask | attention before | after training, with what is said of each after it."""
        scale, rows = scale_of(self.size[1]), []
        maps = zip(self.frames, self.masks, before.numpy(), after.numpy(), said, strict=True)
        for frame, mask, early, late, words in maps:
            row, on = side_by_side(frame, mask, early, scale), enlarged(mask > 0.5, scale)
            gap = np.full((len(row), 2, 3), 255, np.uint8)
            trained = attended(enlarged(rgb_of(frame), scale), late, on)
            whole = np.hstack([row, gap, trained, gap, colour_bar(len(row))])
            rows.append(captioned(whole, [f"after: {words}"]))
        width, bar = rows[0].shape[1], colour_bar(1).shape[1]
        heads = strip(width - bar, ["picture", "mask", "before", "after"])
        return np.vstack([np.pad(heads, ((0, 0), (0, bar), (0, 0))), grid(rows)])


def save(picture: np.ndarray, file: Path) -> None:
    """A PNG; the folder is made where it is missing."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as scratch:
        Image.fromarray(picture).save(scratch, "PNG")
