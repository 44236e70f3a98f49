"""A method is a dataclass: its fields are its hyper-parameters, its hooks are what it does.

    @dataclass
    class MyMethod(Method):
        \"\"\"One line, the paper.\"\"\"

        weight: float = 1.0
        \"\"\"help text of --weight\"\"\"

        def loss(self, network, batch, epoch):
            output = network(batch.pictures)
            attention = output.grad_cam(batch.labels)
            ...
            return task + self.weight * penalty, {"attention/penalty": penalty}

A file in this folder that defines one is all it takes; its name on the command line is the class's
`name`. Losses and what is logged are one value a sample, (B,): the mean is the loop's, which may
be training several seeds at once.

Letters: B samples, C channels, H x W pixels, h x w cells of the maps.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rl_attn.attention import Cells
    from rl_attn.supervised.batches import Batch, Batches
    from rl_attn.supervised.network import Network, Output


@dataclass
class Method:
    """Defaults of every hook: the task's loss alone."""

    name: ClassVar[str]
    #: Needs masks on the training pictures.
    needs_masks: ClassVar[bool] = True
    #: The loss of a sample depends on that sample alone, so that seeds can be trained together.
    separable: ClassVar[bool] = True
    #: Its loss is computed on the validation pictures too, after each epoch, for the logs.
    validated: ClassVar[bool] = True
    #: What networks that it trains may be asked for: one class out of all, several labels, or a
    #: number, see `tasks.py`.
    tasks: ClassVar[tuple[str, ...]] = ("classes", "labels", "number")
    #: What it makes of a mask depends on that mask alone, so that masks can be made on the fly.
    masks_alone: ClassVar[bool] = True
    #: Values of the training command's flags, or of its own, in the paper: for any run (""), for a
    #: data set by name, or for a backbone.
    recipes: ClassVar[dict[str, dict[str, Any]]] = {}
    #: The folder of data sets, --data-root; the run's own is set before `prepare`.
    data_root: ClassVar[Path] = Path("data")

    def needs_features(self) -> bool:
        """Whether it trains maps of features; methods on input gradients do without."""
        return True

    def check(self, settings: Any) -> None:
        """Refuse hyper-parameters that cannot work with the run's `settings` (UserError)."""

    def annotations(self, masks: Tensor, seed: int) -> Tensor:
        """The masks (N, H, W) uint8 to train with; controls put others in their place."""
        return masks

    def target(
        self,
        masks: Tensor,
        grid: tuple[int, int] | None,
        cells: Cells | None = None,
        known: Tensor | None = None,
    ) -> Any:
        """What `batch.target` is made of masks (N, H, W) in [0, 1]: to be indexed by samples.

        Called once for the whole set where pictures are not augmented, whose batches then carry no
        masks, else for every batch.
        grid, cells: (h, w) of the feature maps, and where they lie in the pictures.
        known: (N, H, W) bool, False where nobody said anything; None: all is known.
        """
        return None

    def module(self, size: tuple[int, int], grid: tuple[int, int] | None) -> nn.Module | None:
        """Parameters of its own that are trained with the network's."""
        return None

    def prepare(self, network: Network, train: Batches) -> None:
        """Look at the training pictures, once, before the first step or the resumed one.

        Refuse here (UserError) what cannot work with this network. What changes during training
        belongs in `module`'s buffers, which checkpoints keep; they are loaded after this.
        """

    def loss(self, network: Network, batch: Batch, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
        """(B,), and what to log of it, each (B,). Epochs count from 0."""
        return task_loss(network.plain(batch.pictures), batch), {}

    def ahead(
        self, network: Network, batch: Batch, epoch: int
    ) -> tuple[Tensor, dict[str, Tensor]] | None:
        """An optional first step on this loss alone; the next step is on this and `loss` together.
        Each gradient is taken at the weights of its own step. None: there is no first step."""
        return None

    def begin(self, network: Network, epoch: int) -> None:
        """Before the first step of an epoch, or of the rest of a resumed one: the network and the
        module are in training mode. Freeze here what must not be trained now (`requires_grad`)."""

    def restarts(self, epoch: int) -> bool:
        """Whether optimiser and scheduler begin again with this epoch."""
        return False

    def validation_score(self, epoch: int, validation: dict[str, float]) -> float | None:
        """How good the network is after this epoch; the best one is kept. None: not to be kept.

        The base keeps the last epoch's: most papers do not say what they select by.
        """
        return float(epoch)

    def measures(self, network: Network, batches: Batches, seed: int) -> dict[str, float]:
        """What the method itself has to say of a test split, beside what is said of all
        (`evaluation.py`); the split has the data set's own masks."""
        return {}


def batch_size(network: Network, batch: Batch) -> int:
    """Pictures a network sees at once: what published losses that sum over a batch, or take the
    gradient of its mean, differ by from those of one sample."""
    return len(batch.labels) // network.copies


def task_loss(output: Output, batch: Batch, rows: Tensor | slice = slice(None)) -> Tensor:
    """(B,): cross-entropy, or the loss of another task, see `tasks.py`; rows: of an output of
    some."""
    return batch.task.loss(output.logits, batch, rows)
