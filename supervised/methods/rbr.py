"""RBR: right for better reasons, small influence off the mask (Shao et al. 2021).

As the XIL typology runs it (Friedrich et al. 2023), with the Hessian as the identity:

    L = CE + weight * sum (influence * d sum_c log p_c / dx)^2 off the mask,
    influence = d/dx sum_j (d CE / d theta_j).

Its cross-entropy is the batch's mean, so that its influence is 1/B of a sample's, and its penalty
is the batch's sum: the weight of 1e5 (1e6 on Fashion-MNIST) belongs to both, and with them to
batches of 256. Its data: `--data-options variant=rrr mask=not-patch`. It chose the best epoch on
the test loss; here the last one counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rl_attn.run.settings import NotNegative
from rl_attn.supervised.methods.base import Method, batch_size, task_loss
from rl_attn.supervised.methods.hint import XIL_RECIPE

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rl_attn.supervised.batches import Batch
    from rl_attn.supervised.network import Network


@dataclass
class Rbr(Method):
    """Cross-entropy + weight * squared influence times gradient off the mask."""

    name: ClassVar[str] = "rbr"
    tasks: ClassVar[tuple[str, ...]] = ("classes", "labels")
    recipes: ClassVar[dict[str, dict[str, Any]]] = {"": XIL_RECIPE}

    weight: NotNegative[float] = 1e5
    """of the squared products, summed over the batch, with the influence of the batch's mean"""

    def needs_features(self) -> bool:
        return False

    def loss(self, network: Network, batch: Batch, epoch: int) -> tuple[Tensor, dict[str, Tensor]]:
        from rl_attn.attention import input_gradient, rbr, rbr_influence, rrr_score

        number = batch_size(network, batch)
        with asking_for_gradients(network.model) as parameters:
            output = network.by_input(batch.pictures)
            task = task_loss(output, batch)
            influence = rbr_influence(task / number, parameters, batch.pictures)
        gradient = input_gradient(rrr_score(output.logits), batch.pictures)
        penalty = number * rbr(influence, gradient, batch.allowed)  # the mean of it is the sum
        logs = {"losses/cross_entropy": task, "attention/loss": penalty}
        return task + self.weight * penalty, logs


@contextmanager
def asking_for_gradients(model: nn.Module) -> Iterator[list[nn.Parameter]]:
    """The parameters, with gradients required inside, also in validation."""
    parameters = list(model.parameters())
    before = [parameter.requires_grad for parameter in parameters]
    model.requires_grad_()
    try:
        yield parameters
    finally:
        for parameter, requires_grad in zip(parameters, before, strict=True):
            parameter.requires_grad_(requires_grad)
