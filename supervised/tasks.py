"""What a network is asked for, as the set says: one class out of all, several labels, a number.

    task = task_of(split)                     # of the training pictures
    task.loss(logits, batch)                  # (B,)
    task.predicted(logits)                    # probabilities (B, classes), or numbers (B, 1)
    task.measures(predictions, split)         # {"accuracy": ..., ...} or {"mae": ..., ...}

A number is learned as its distance from the training pictures' mean, in their standard deviations;
predictions and measures are in its own units.

Letters: B samples, N pictures of a split.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from rl_attn.errors import UserError
from rl_attn.supervised.data import Split
from rl_attn.supervised.scoring import (
    confusion,
    confusion_of_labels,
    scores,
    scores_of_labels,
    scores_of_numbers,
)

if TYPE_CHECKING:
    from rl_attn.supervised.batches import Batch

TargetLoss = Literal["mse", "l1"]


@dataclass(frozen=True)
class Classes:
    """One class out of all: cross-entropy and softmax."""

    name: ClassVar[str] = "classes"
    #: The measure that charts begin with, and one that is NaN where the network is.
    shown: ClassVar[str] = "accuracy"
    finite: ClassVar[str] = "calibration_error"
    #: Whether evidence against what is predicted is attention too, see `Network.explain`.
    signed: ClassVar[bool] = False

    @property
    def loss_name(self) -> str:
        """What it is called in logs."""
        return "cross_entropy"

    def outputs(self, names: Sequence[str]) -> int:
        """How many numbers the network gives of a picture."""
        return len(names)

    def asked(self, names: Sequence[str]) -> str:
        """What these numbers are of, as messages say it."""
        return f"{len(names)} {self.name}"

    def loss(self, logits: Tensor, batch: "Batch", rows: Tensor | slice = slice(None)) -> Tensor:
        """(B,) of logits (B, classes); rows: of a batch of which these are some."""
        loss = F.cross_entropy(logits, batch.labels[rows], reduction="none")
        return loss if batch.weights is None else loss * batch.weights[rows]

    def predicted(self, logits: Tensor) -> Tensor:
        return logits.softmax(1)

    def perfect(self, split: Split, classes: int) -> Tensor:
        """What `predicted` would give of a split (N, classes) were all of it right."""
        return F.one_hot(split.labels, classes).float()

    def right(self, logits: Tensor, batch: "Batch") -> Tensor:
        """(B,) in [0, 1]: the share of what was asked that is right."""
        return (logits.argmax(1) == batch.labels).float()

    def measures(self, predictions: Tensor, split: Split) -> dict[str, float]:
        """See `scoring`; predictions: as `predicted` gives them, of a split."""
        return scores(predictions.argmax(1), split, predictions)

    def confusion(self, predictions: Tensor, split: Split) -> np.ndarray | None:
        """int (classes, classes), of a true class by a predicted one; None where there are none."""
        return confusion(predictions.argmax(1), split.labels, predictions.shape[1])

    def words(self, predictions: Tensor, names: Sequence[str]) -> list[str]:
        """What was predicted of each picture."""
        return [names[i] for i in predictions.argmax(1).tolist()]

    def truth(self, split: Split, names: Sequence[str]) -> list[str]:
        """What each picture shows, in the same words."""
        return [names[i] for i in split.labels.tolist()]


@dataclass(frozen=True)
class Labels(Classes):
    """Several labels or none: the mean of each one's binary cross-entropy."""

    name: ClassVar[str] = "labels"

    def loss(self, logits: Tensor, batch: "Batch", rows: Tensor | slice = slice(None)) -> Tensor:
        wanted = batch.several[rows]
        return F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").mean(1)

    def predicted(self, logits: Tensor) -> Tensor:
        return logits.sigmoid()

    def perfect(self, split: Split, classes: int) -> Tensor:
        return split.several.float()

    def right(self, logits: Tensor, batch: "Batch") -> Tensor:
        return ((logits > 0) == (batch.several > 0)).float().mean(1)

    def measures(self, predictions: Tensor, split: Split) -> dict[str, float]:
        return scores_of_labels(predictions, split.several)

    def confusion(self, predictions: Tensor, split: Split) -> np.ndarray | None:
        """int (classes, 2, 2): of each label whether it is there by whether it was predicted."""
        return confusion_of_labels(predictions, split.several)

    def words(self, predictions: Tensor, names: Sequence[str]) -> list[str]:
        return _joined(predictions > 0.5, names)

    def truth(self, split: Split, names: Sequence[str]) -> list[str]:
        return _joined(split.several, names)


@dataclass(frozen=True)
class Number(Classes):
    """A number: squared or absolute error, in the training pictures' standard deviations."""

    name: ClassVar[str] = "number"
    shown: ClassVar[str] = "mae"
    finite: ClassVar[str] = "mae"
    signed: ClassVar[bool] = True

    centre: float = 0.0
    spread: float = 1.0
    error: TargetLoss = "mse"

    @property
    def loss_name(self) -> str:
        return self.error

    def outputs(self, names: Sequence[str]) -> int:
        return 1

    def asked(self, names: Sequence[str]) -> str:
        return "one number"

    def loss(self, logits: Tensor, batch: "Batch", rows: Tensor | slice = slice(None)) -> Tensor:
        wanted = ((batch.values[rows] - self.centre) / self.spread).to(logits.dtype)
        measure = F.mse_loss if self.error == "mse" else F.l1_loss
        return measure(logits[:, 0], wanted, reduction="none")

    def predicted(self, logits: Tensor) -> Tensor:
        """float64 (B, 1), in the number's own units."""
        return logits.double() * self.spread + self.centre

    def perfect(self, split: Split, classes: int) -> Tensor:
        return split.values[:, None]

    def measures(self, predictions: Tensor, split: Split) -> dict[str, float]:
        return scores_of_numbers(predictions[:, 0], split.values)

    def confusion(self, predictions: Tensor, split: Split) -> np.ndarray | None:
        return None

    def words(self, predictions: Tensor, names: Sequence[str]) -> list[str]:
        return [f"{value:.4g}" for value in predictions[:, 0].tolist()]

    def truth(self, split: Split, names: Sequence[str]) -> list[str]:
        return [f"{value:.4g}" for value in split.values.tolist()]


#: What a loss may be of, by name.
TASKS = (Classes.name, Labels.name, Number.name)


def task_of(split: Split, error: TargetLoss = "mse") -> Classes:
    """The task of a set, by its training pictures. UserError: numbers that are all the same."""
    if split.several is not None:
        return Labels()
    if split.values is None:
        return Classes()
    spread = split.values.std(correction=0).item()
    if not spread > 0:
        raise UserError(
            f"all {len(split)} training pictures have the number {split.values[0].item():g}: there "
            "is nothing to learn"
        )
    return Number(split.values.mean().item(), spread, error)


def _joined(on: Tensor, names: Sequence[str]) -> list[str]:
    rows = on.tolist()
    return [", ".join(n for n, yes in zip(names, r, strict=True) if yes) or "none" for r in rows]
