"""PPO's loss (Schulman et al. 2017), as in CleanRL, whose names these are.

https://github.com/vwxyzjn/cleanrl/blob/master/cleanrl/ppo_atari.py
"""

import torch
from torch import Tensor

from rl_attn.agents import Output
from rl_attn.rl.batch import Batch
from rl_attn.rl.settings import PPOSettings


def ppo_loss(
    output: Output, batch: Batch, settings: PPOSettings
) -> tuple[Tensor, dict[str, Tensor]]:
    """The clipped objective (Eq. 7 and 9) of a mini-batch, a scalar, and its parts for the log."""
    newlogprob = output.policy.log_prob(batch.actions)
    entropy_loss = output.policy.entropy().mean()
    logratio = newlogprob - batch.log_probs
    ratio = logratio.exp()

    advantages = batch.advantages
    if settings.norm_adv:
        every = batch.all_advantages
        advantages = (advantages - every.mean()) / (every.std() + 1e-8)

    # Policy loss
    clipped = ratio.clamp(1 - settings.clip_coef, 1 + settings.clip_coef)
    pg_loss = -torch.minimum(advantages * ratio, advantages * clipped).mean()

    # Value loss
    v_loss = (output.value - batch.returns).square()
    if settings.clip_vloss:
        change = (output.value - batch.values).clamp(-settings.clip_coef, settings.clip_coef)
        v_loss = torch.maximum(v_loss, (batch.values + change - batch.returns).square())
    v_loss = 0.5 * v_loss.mean()

    loss = pg_loss - settings.ent_coef * entropy_loss + settings.vf_coef * v_loss
    return loss, {
        "losses/policy_loss": pg_loss,
        "losses/value_loss": v_loss,
        "losses/entropy": entropy_loss,
        "losses/approx_kl": (
            (ratio - 1) - logratio
        ).mean(),  # http://joschu.net/blog/kl-approx.html
        "losses/clipfrac": ((ratio - 1).abs() > settings.clip_coef).float().mean(),
    }


def explained_variance(values: Tensor, returns: Tensor) -> float:
    """1 - Var(returns - values) / Var(returns); NaN where the returns do not vary."""
    variance = returns.var()
    return float(1 - (returns - values).var() / variance) if variance > 0 else float("nan")
