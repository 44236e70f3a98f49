"""DrAC's two terms: another view of the same state is to change neither policy nor value."""

from torch import Tensor

from rl_attn.agents import Network, Output
from rl_attn.rl.entries import Log, over


def consistency(
    agent: Network, output: Output, view: Output, kept: Tensor | None = None
) -> tuple[Tensor, Log]:
    """mean(KL(pi(.|s) || pi(.|view)) + (V(s) - V(view))^2), a scalar, and its parts for the log.

    Raileanu et al. 2021, Eq. 4 and 5: what the agent makes of s is the target, without a gradient.

    Args:
        output, view: the forwards of the plain states and of their views.
        kept: (B,) 1 for samples that count; None: all.
    """
    moved = agent.head(output.logits.detach()).kl(view.policy)  # (B,)
    changed = (view.value - output.value.detach()).square()
    kept = changed.detach() * 0 + 1 if kept is None else kept
    parts = {"consistency/policy": over(moved, kept), "consistency/value": over(changed, kept)}
    return sum((part.value for part in parts.values()), changed.new_zeros(())), parts
