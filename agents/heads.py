"""Policies over any action space: from the numbers of a linear layer to actions and back.

    head = head_of(action_space)                     # what the space asks of a network
    layer = head.layer(512)                          # nn.Module: (B, 512) -> (B, head.size)
    policy = head(layer(hidden))                     # a distribution over actions
    actions = policy.sample(noise)                   # noise (B, head.size), exponential variates
    policy.log_prob(actions), policy.entropy(), policy.kl(other), policy.mode()    # all (B, ...)
    head.for_environment(actions)                    # what `VectorEnv.send` takes

| space         | policy           | actions                |
|---------------|------------------|------------------------|
| Discrete      | Categorical      | (B,) int64             |
| MultiDiscrete | MultiCategorical | (B, D) int64           |
| MultiBinary   | Bernoulli        | (B, D) int64 in {0, 1} |
| Box           | Gaussian         | (B, D) float32         |

All of them sample from exponential variates, so that whoever draws the noise (one generator for all
ranks, or one an episode) need not know which policy it is for.

Letters: B samples, D parts of an action, P parameters.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import reduce
from typing import Any, Self

import gymnasium
import numpy as np
import torch
import torch.nn.functional as F
from gymnasium import spaces
from torch import Tensor, nn

from rl_attn.errors import UserError


class Policy(ABC):
    """A distribution over actions for each of B samples."""

    def __init__(self, parameters: Tensor):
        self.parameters = parameters  # (B, P)

    def __getitem__(self, rows: Any) -> Self:
        """The policy of these samples."""
        return self._like(self.parameters[rows])

    def detach(self) -> Self:
        """The same policy, without a graph."""
        return self._like(self.parameters.detach())

    def to(self, *how: Any) -> Self:
        """As `Tensor.to`."""
        return self._like(self.parameters.to(*how))

    def _like(self, parameters: Tensor) -> Self:
        return type(self)(parameters)

    @abstractmethod
    def sample(self, noise: Tensor) -> Tensor:
        """Actions, by exponential noise of the parameters' shape (B, P)."""

    @abstractmethod
    def mode(self) -> Tensor:
        """The likeliest actions."""

    @abstractmethod
    def log_prob(self, actions: Tensor) -> Tensor:
        """(B,), of a density for Box."""

    @abstractmethod
    def entropy(self) -> Tensor:
        """(B,)"""

    @abstractmethod
    def kl(self, other: Any) -> Tensor:
        """KL(self || other), (B,), to a policy of the same kind."""

    @abstractmethod
    def score(self, actions: Tensor) -> Tensor:
        """(B,) log-probability before it is normalised: whose gradient is an action's attention.

        Of an exponential family, log p(a) = <parameters, a> - log Z: this is the first term, which
        is the action's logit for Discrete. The log-probability itself has no gradient by the mean
        of a Gaussian at its likeliest action, so that every map of it would be empty.
        """


class Categorical(Policy):
    """One of P actions; the parameters are logits."""

    def __init__(self, parameters: Tensor):
        super().__init__(parameters)
        self.log_probs = parameters.log_softmax(-1)  # (B, P)

    def sample(self, noise: Tensor) -> Tensor:
        """An exponential race, whose winner is i with probability p_i."""
        return (self.log_probs.exp() / noise).argmax(-1)

    def mode(self) -> Tensor:
        return self.parameters.argmax(-1)

    def log_prob(self, actions: Tensor) -> Tensor:
        return self.log_probs.gather(1, actions[:, None])[:, 0]

    def entropy(self) -> Tensor:
        return -(self.log_probs.exp() * self.log_probs).sum(-1)

    def kl(self, other: Categorical) -> Tensor:
        return (self.log_probs.exp() * (self.log_probs - other.log_probs)).sum(-1)

    def score(self, actions: Tensor) -> Tensor:
        return self.parameters.gather(1, actions[:, None])[:, 0]


class MultiCategorical(Policy):
    """D independent choices, the d-th one of `counts[d]`; the parameters are their logits."""

    def __init__(self, parameters: Tensor, counts: list[int]):
        super().__init__(parameters)
        self.counts = counts
        self.parts = [Categorical(part) for part in parameters.split(counts, dim=1)]

    def _like(self, parameters: Tensor) -> Self:
        return type(self)(parameters, self.counts)

    def sample(self, noise: Tensor) -> Tensor:
        noises = noise.split(self.counts, dim=1)
        drawn = [p.sample(n) for p, n in zip(self.parts, noises, strict=True)]
        return torch.stack(drawn, dim=1)

    def mode(self) -> Tensor:
        return torch.stack([part.mode() for part in self.parts], dim=1)

    def log_prob(self, actions: Tensor) -> Tensor:
        pairs = zip(self.parts, actions.unbind(1), strict=True)
        return reduce(torch.add, (part.log_prob(action) for part, action in pairs))

    def entropy(self) -> Tensor:
        return reduce(torch.add, (part.entropy() for part in self.parts))

    def kl(self, other: MultiCategorical) -> Tensor:
        return reduce(torch.add, (p.kl(q) for p, q in zip(self.parts, other.parts, strict=True)))

    def score(self, actions: Tensor) -> Tensor:
        pairs = zip(self.parts, actions.unbind(1), strict=True)
        return reduce(torch.add, (part.score(action) for part, action in pairs))


class Bernoulli(Policy):
    """D independent yes or no; the parameters are the logits of yes."""

    def sample(self, noise: Tensor) -> Tensor:
        return (torch.exp(-noise) < self.parameters.sigmoid()).long()  # exp(-noise) is uniform

    def mode(self) -> Tensor:
        return (self.parameters > 0).long()

    def log_prob(self, actions: Tensor) -> Tensor:
        return F.logsigmoid(self._signs(actions) * self.parameters).sum(-1)

    def entropy(self) -> Tensor:
        return _bernoulli(self).entropy().sum(-1)

    def kl(self, other: Bernoulli) -> Tensor:
        return torch.distributions.kl_divergence(_bernoulli(self), _bernoulli(other)).sum(-1)

    def score(self, actions: Tensor) -> Tensor:
        return (self._signs(actions) * self.parameters).sum(-1) / 2

    def _signs(self, actions: Tensor) -> Tensor:
        return 2.0 * actions - 1.0


class Gaussian(Policy):
    """D independent normal variables; the parameters are D means, then D log deviations."""

    def __init__(self, parameters: Tensor):
        super().__init__(parameters)
        self.mean, log_std = parameters.chunk(2, dim=1)  # (B, D) each
        self.std = log_std.exp()

    def sample(self, noise: Tensor) -> Tensor:
        """Box and Muller 1958: a radius and an angle of two uniform variables make a normal one."""
        radius, angle = noise.chunk(2, dim=1)
        normal = (2 * radius).sqrt() * torch.cos(2 * math.pi * torch.exp(-angle))
        return self.mean + self.std * normal

    def mode(self) -> Tensor:
        return self.mean

    def log_prob(self, actions: Tensor) -> Tensor:
        return _normal(self).log_prob(actions).sum(-1)

    def entropy(self) -> Tensor:
        return _normal(self).entropy().sum(-1)

    def kl(self, other: Gaussian) -> Tensor:
        return torch.distributions.kl_divergence(_normal(self), _normal(other)).sum(-1)

    def score(self, actions: Tensor) -> Tensor:
        return (self.mean * actions.detach() / self.std.square()).sum(-1)


def _bernoulli(policy: Bernoulli) -> torch.distributions.Bernoulli:
    return torch.distributions.Bernoulli(logits=policy.parameters, validate_args=False)


def _normal(policy: Gaussian) -> torch.distributions.Normal:
    return torch.distributions.Normal(policy.mean, policy.std, validate_args=False)


class MeanAndStd(nn.Linear):
    """A linear layer for the means, and a log standard deviation that no state changes.

    As in CleanRL's ppo_continuous_action.py; it begins at 0.
    """

    def __init__(self, in_features: int, parts: int):
        super().__init__(in_features, parts)
        self.log_std = nn.Parameter(torch.zeros(parts))

    def forward(self, hidden: Tensor) -> Tensor:
        mean = super().forward(hidden)
        return torch.cat([mean, self.log_std.to(mean.dtype).expand_as(mean)], dim=1)


@dataclass(frozen=True)
class Head:
    """What an action space asks of a network and of a rollout's storage."""

    space: gymnasium.Space
    size: int  # P, parameters of a policy
    action_shape: tuple[int, ...]  # () or (D,), of a stored action
    dtype: torch.dtype  # of a stored action

    def layer(self, in_features: int) -> nn.Linear:
        """The network's last layer for this policy, not initialised in any particular way."""
        if isinstance(self.space, spaces.Box):
            return MeanAndStd(in_features, self.size // 2)
        return nn.Linear(in_features, self.size)

    def __call__(self, parameters: Tensor) -> Policy:
        """The policy of parameters (B, P)."""
        match self.space:
            case spaces.Discrete():
                return Categorical(parameters)
            case spaces.MultiDiscrete():
                return MultiCategorical(parameters, self.space.nvec.flatten().tolist())
            case spaces.MultiBinary():
                return Bernoulli(parameters)
            case _:
                return Gaussian(parameters)

    def for_environment(self, actions: Tensor) -> np.ndarray:
        """Actions (B, *action_shape) as the space has them, (B, *space.shape).

        A Gaussian's -1 and 1 are the ends of a Box, beyond which it is clipped; where it has no
        ends, actions stay as they are.
        """
        values, space = actions.cpu().numpy(), self.space
        values = values.reshape(len(values), *(space.shape or ()))
        if isinstance(space, spaces.Box):
            return _into_box(values, space)
        counted = isinstance(space, spaces.Discrete | spaces.MultiDiscrete)
        start = space.start if counted else 0
        return (values + start).astype(space.dtype, copy=False)


def head_of(space: gymnasium.Space) -> Head:
    """The head for an action space; UserError for one that has none."""
    match space:
        case spaces.Discrete():
            return Head(space, int(space.n), (), torch.int64)
        case spaces.MultiDiscrete():
            return Head(space, int(space.nvec.sum()), (space.nvec.size,), torch.int64)
        case spaces.MultiBinary():
            size = math.prod(space.shape)
            return Head(space, size, (size,), torch.int64)
        case spaces.Box() if np.issubdtype(space.dtype, np.floating):
            size = math.prod(space.shape)
            return Head(space, 2 * size, (size,), torch.float32)
    raise UserError(
        f"no policy for the action space {space}: wrap the environment so that it is Discrete, "
        "MultiDiscrete, MultiBinary or a Box of floats"
    )


#: Bounds beyond it are none: environments also write the largest float for "unbounded".
_NO_BOUND = 1e30


def _into_box(values: np.ndarray, space: spaces.Box) -> np.ndarray:
    bounded = (np.abs(space.low) < _NO_BOUND) & (np.abs(space.high) < _NO_BOUND)
    low, high = (np.where(bounded, end, 0.0) for end in (space.low, space.high))
    scaled = (low + high) / 2 + (high - low) / 2 * np.clip(values, -1.0, 1.0)
    values = np.where(bounded, scaled, values)
    return np.clip(values, space.low, space.high).astype(space.dtype)
