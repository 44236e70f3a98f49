"""CDEP: penalise what contextual decomposition finds in wrong pixels (Rieger et al. 2020).

L = CE + weight * sum over regions of mean over classes of softmax((CD of the region, CD of the
rest))_1. A region is

    pixels    one pixel; eight a batch, drawn by how often a pixel has ink, so that no single pixel,
              and with it no colour, decides (ColorMNIST)
    corners   the four corners of every picture, where decoys may lie (DecoyMNIST)
    mask      whatever is not in the picture's mask

Adam with 1e-3. ColorMNIST: `color-cnn`, weight decay 1e-3, batches of 256, one epoch. DecoyMNIST:
`decoy-cnn`, 1e-4, 64, five epochs. Their data are `--data-options variant=cdep`. The weight of a
published result is not in the paper: the code searches 500, 1000 and 5000 on ColorMNIST (on
validation pictures in the *test's* colours) and 1 to 10,000 on DecoyMNIST, of which its authors'
notebook has 97.2 % of the test right, the printed number, with 1,000. MNIST wants that here, too
(97 to 98 %, 96.4 % with 10,000, 67.2 % with 10); the default suits `digits` (seed 1, 20 epochs:
97.8 %, 89.2 % with 10,000).

Their decomposition drops a bias where both parts are zero, ours gives it to the rest; with inputs
that are nowhere exactly zero, as theirs, that is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from rl_attn.errors import UserError
from rl_attn.run.settings import NotNegative
from rl_attn.supervised.methods.base import Method, task_loss

if TYPE_CHECKING:
    from torch import Tensor

    from rl_attn.supervised.batches import Batch, Batches
    from rl_attn.supervised.network import Network


@dataclass
class Cdep(Method):
    """Cross-entropy + weight * the share of wrong pixels in the logits."""

    name: ClassVar[str] = "cdep"
    tasks: ClassVar[tuple[str, ...]] = ("classes",)
    separable: ClassVar[bool] = False  # decomposes the model itself, and draws pixels for a batch
    masks_alone: ClassVar[bool] = False
    recipes: ClassVar[dict[str, dict[str, Any]]] = {
        "": {"optimizer": "adam", "learning_rate": 1e-3, "weight_decay": 1e-4, "batch_size": 64},
        "color-mnist": {
            "backbone": "color-cnn",
            "weight_decay": 1e-3,
            "batch_size": 256,
            "epochs": 1,
            "weight": 1000.0,
            "region": "pixels",
        },
        "decoy-mnist": {"backbone": "decoy-cnn", "epochs": 5, "weight": 10.0, "region": "corners"},
    }

    weight: NotNegative[float] = 1.0
    """weight of the decomposition's penalty"""
    region: Literal["mask", "pixels", "corners"] = "mask"
    """which pixels are wrong: those off the mask, random single ones, or the corners"""
    pixels: int = 8
    """how many single pixels a batch"""
    corner: int = 5
    """side of a corner in pixels"""

    def needs_features(self) -> bool:
        return False

    def check(self, settings: Any) -> None:
        for name in ("pixels", "corner"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name} must be 1 or more, got {getattr(self, name)}")

    def prepare(self, network: Network, train: Batches) -> None:
        import torch

        from rl_attn.supervised.regions import ink_frequency

        batch = train.take(torch.arange(2))
        self.frequency = ink_frequency(train.split.masks)
        try:
            with torch.no_grad():
                self.decomposed(network, batch)
        except (NotImplementedError, AttributeError, ValueError) as error:
            raise UserError(
                f"--method cdep cannot take {type(network.model).__name__} apart: {error}"
            ) from None

    def loss(self, network: Network, batch: Batch, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
        from rl_attn.supervised.network import Output

        logits, penalty = self.decomposed(network, batch)
        task = task_loss(Output(logits), batch)
        logs = {"losses/cross_entropy": task, "attention/loss": penalty}
        return task + self.weight * penalty, logs

    def decomposed(self, network: Network, batch: Batch) -> tuple[Tensor, Tensor]:
        """The logits (B, classes), which are the two parts together, and the penalty summed over
        regions, (B,)."""
        import torch

        from rl_attn.attention import cdep, contextual_decomposition

        x = batch.pictures
        regions = torch.stack([region.expand(len(x), -1, -1) for region in self.regions(batch)])
        relevant, irrelevant = contextual_decomposition(network.model, x, regions)
        classes = relevant.shape[-1]
        shares = cdep(relevant.reshape(-1, classes), irrelevant.reshape(-1, classes))
        return (relevant + irrelevant)[0], shares.view(len(regions), -1).sum(0)

    def regions(self, batch: Batch) -> Tensor:
        """Each of them for the whole batch (H, W), or for each of its pictures (B, H, W)."""
        from rl_attn.supervised.regions import corners, random_pixels

        if self.region == "pixels":
            return random_pixels(self.frequency, self.pixels)
        if self.region == "corners":
            size = tuple(batch.pictures.shape[2:])
            return corners(size, self.corner).to(batch.pictures.device)[None]
        return (1 - batch.allowed)[None]
