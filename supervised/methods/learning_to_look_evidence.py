"""Learning to Look with a teacher's evidence for every class in place of a mask.

A mask says where the true class is seen. The maps of all other classes stay free, and a network
that tells classes by their colour can draw any map of the true one. WeCLIP+, the paper's teacher,
is a segmentation network and knows more than the mask it hands on: of each cell, which class it
would belong to. Here the class activation maps of *every* class are compared with a teacher's, cell
by cell (`evidence_alignment`), in the two phases of Learning to Look.

The teacher is a network like the student that never saw the shortcut: it was trained on another
data set of the same classes (`--teacher`), by default scikit-learn's digits, 1,293 of other writers
at 8x8 pixels. If its pictures have no colour, it is shown the student's without theirs. This is of
no paper; maps were handed from network to network by Zagoruyko and Komodakis (2017), one for all
classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rl_attn.errors import UserError
from rl_attn.run.settings import NotNegative
from rl_attn.supervised.methods.learning_to_look import RECIPE, Selection, TwoPhases

if TYPE_CHECKING:
    from torch import Tensor

    from rl_attn.supervised.batches import Batch, Batches
    from rl_attn.supervised.network import Network, Output


@dataclass
class LearningToLookEvidence(TwoPhases):
    """Learning to Look: a teacher's evidence for every class, then cross-entropy with it."""

    name: ClassVar[str] = "learning-to-look-evidence"
    needs_masks: ClassVar[bool] = False
    separable: ClassVar[bool] = False
    recipes: ClassVar[dict[str, dict[str, Any]]] = {"": {**RECIPE, "learning_rate": 2e-4}}

    weight: NotNegative[float] = 20.0
    """lambda at the beginning of phase 2"""
    attention_epochs: int = 11
    """E_attn: epochs of phase 1"""
    selection: Selection = "exponential"
    """what an epoch is kept by: accuracy * exp(-L_attn), or optim-value, accuracy * (1 - L_attn)"""
    teacher: str = "digits"
    """data set that the teacher is trained on, the same classes without the shortcut; digits come
    with a package, others from --data-root"""
    teacher_steps: int = 4000
    """steps of the teacher's training, on 64 pictures each"""

    def check(self, settings: Any) -> None:
        super().check(settings)
        if self.selection == "reverse-kl":
            raise UserError(f"--selection reverse-kl compares with a mask and {self.name} has none")
        if self.teacher_steps < 1:
            raise UserError(f"--teacher-steps must be 1 or more, got {self.teacher_steps}")

    def prepare(self, network: Network, train: Batches) -> None:
        import torch

        from rl_attn.supervised.data import load
        from rl_attn.supervised.network import Network
        from rl_attn.supervised.teachers import copied, fit_on

        batch = train.take(torch.arange(1))
        output = network(batch.pictures)
        if output.weight is None:
            raise UserError(
                f"--method {self.name} needs a network whose head is one linear layer on averages "
                f"of its feature maps, which {type(network.model).__name__} is not: take lenet"
            )
        known = load(self.teacher, self.data_root)
        classes = output.logits.shape[1]
        if len(known.classes) != classes:
            raise UserError(
                f"--teacher {self.teacher} has {len(known.classes)} classes and the pictures "
                f"{classes}: name a data set of the same classes"
            )
        self.view, channels = train.view, batch.pictures.shape[1]
        if known.channels > channels:
            raise UserError(f"--teacher {self.teacher} is in colour, and the pictures are not")
        self.colourless = known.channels < channels
        model, split = copied(network.model), known.splits["train"].to(batch.pictures.device)
        side = batch.pictures.shape[-1]
        accuracy = fit_on(model, split, train.view, side, self.teacher_steps)
        self.knowing = Network(model, network.layer)
        print(
            f"note: the teacher is a {type(model).__name__} trained here on {len(split):,} "
            f"pictures of {self.teacher}; it knows {accuracy:.1%} of its own and "
            f"{self.right(train):.1%} of the training pictures",
            flush=True,
        )
        if accuracy < 1.5 / classes:
            raise UserError(
                f"the teacher learned nothing (accuracy {accuracy:.3f}): more --teacher-steps"
            )

    def taught(self, pictures: Tensor) -> Output:
        """What the teacher makes of the student's pictures."""
        import torch

        from rl_attn.supervised.teachers import without_colour

        shown = without_colour(pictures, self.view) if self.colourless else pictures
        with torch.no_grad():
            return self.knowing(shown)

    def right(self, train: Batches) -> float:
        """Share of (up to 4,096) training pictures whose class the teacher knows."""
        import torch

        batch = train.take(torch.arange(min(len(train), 4096)))
        hits = self.taught(batch.pictures).logits.argmax(1) == batch.labels
        return hits.float().mean().item()

    def divergence(self, output: Output, batch: Batch) -> Tensor:
        from rl_attn.attention import evidence_alignment

        return evidence_alignment(output.evidence(), self.taught(batch.pictures).evidence())
