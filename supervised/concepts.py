"""Concepts as directions in a network's feature maps, taught by another network.

    pictures  -> composites  a concept's pictures and its counterexamples, made of training pictures
    teacher   -> maps        what a knowing network makes of them
    mapping   -> maps        brought into the student's space by a small autoencoder
    separated -> direction   the concept activation vector (CAV, Kim et al. 2018)

After Concept Distillation (Gupta et al. 2023), whose concept pictures are not published.

Letters: N pictures, C channels, H x W pixels, K maps of h x w cells, D = K h w.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rl_attn.run.optimizers import eager
from rl_attn.supervised.methods.concept_distillation import What


def composite(
    objects: Tensor, object_masks: Tensor, others: Tensor, other_masks: Tensor, what: What
) -> Tensor:
    """Pictures with the shape of some and the context, or the colour, of others, (N, C, H, W).

    Args:
        objects, others: pictures (N, C, H, W).
        object_masks, other_masks: (N, H, W) in [0, 1].
        what: "context" pastes the object into the other picture, whose own object is replaced by
            the mean of what is around it; "colour" paints the object's shape in the mean colour of
            the other's object, on the mean of what is around that.
    """
    on, other_on = object_masks[:, None], other_masks[:, None]  # (N, 1, H, W)
    ground = _mean(others, 1 - other_on)  # (N, C, 1, 1)
    if what == "colour":
        return ground + on * (_mean(others, other_on) - ground)
    scene = others + other_on * (ground - others)
    return scene + on * (objects - scene)


def _mean(pictures: Tensor, where: Tensor) -> Tensor:
    return (pictures * where).sum((2, 3), True) / where.sum((2, 3), True).clamp_min(1e-6)


class Mapping(nn.Module):
    """From a teacher's maps to a student's and back, a convolution each way."""

    def __init__(self, teacher: int, student: int):
        super().__init__()
        self.down = nn.Conv2d(teacher, student, 3, padding=1)
        self.up = nn.Conv2d(student, teacher, 3, padding=1)

    def fit(
        self, teacher: Tensor, student: Tensor, epochs: int, generator: torch.Generator
    ) -> None:
        """Adam on |t - up(down(t))|^2 + |down(t) - s|^2, maps (N, K, h, w) on one grid, ten at a
        time. The released code takes one step of 1e-4 a concept, which hardly moves the mapping."""
        self.requires_grad_(True)
        optimizer = eager(torch.optim.Adam)(self.parameters(), 1e-3)
        for _ in range(epochs):
            order = torch.randperm(len(teacher), generator=generator).to(teacher.device)
            for part in order.split(10):
                small = self.down(teacher[part])
                loss = F.mse_loss(self.up(small), teacher[part]) + F.mse_loss(small, student[part])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        self.zero_grad(set_to_none=True)
        self.requires_grad_(False)


def separated(positive: Tensor, negative: Tensor, ridge: float = 1e-2) -> tuple[Tensor, float]:
    """The unit direction (D,) from negative to positive samples (n, D), and how many of these it
    has on their side: a least-squares support vector machine, solved in its dual form.

    Args:
        ridge: of the mean squared length of the samples.
    """
    x = torch.cat([positive, negative])
    y = torch.cat([x.new_ones(len(positive)), -x.new_ones(len(negative))])
    centred, target = x - x.mean(0), y - y.mean()
    gram = centred @ centred.T  # (n, n): D is larger
    gram = gram + ridge * gram.diagonal().mean().clamp_min(1e-12) * torch.eye(
        len(x), device=x.device
    )
    direction = centred.T @ torch.linalg.solve(gram, target)
    right = ((centred @ direction + y.mean()).sign() == y).float().mean().item()
    return F.normalize(direction, dim=0), right
