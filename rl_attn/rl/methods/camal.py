"""CAMAL: the critic attends to the mask of the targets, and to nothing else.

It adds one term to PPO's loss (Hundal et al. 2026, section 3.3),

    L = L_PPO + camal * mean(beta - alpha),

where alpha and beta are the mean attention inside and outside the mask, and attention is the
Grad-CAM of the critic's value V(s), or of the taken action's logit. As the paper's code has it:
`--camal 1 --dead-maps zero --placement stretched`.

Controls ask what did it. `--control` gives masks that are wrong on purpose; `--objective` replaces
beta - alpha by another pressure on the same map.

Letters: T steps, N environments, B samples, h x w cells of the maps, H x W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rl_attn.rl.methods import METHODS, Method
from rl_attn.run.settings import NotNegative

if TYPE_CHECKING:
    from torch import Tensor

    from rl_attn.agents import Network, Output, RolloutStorage
    from rl_attn.attention import MaskWeights
    from rl_attn.rl.batch import Batch
    from rl_attn.rl.entries import Log


@METHODS.register("camal")
@dataclass
class Camal(Method):
    """Train a PPO agent with the CAMAL loss on its attention (Hundal et al. 2026)."""

    camal: NotNegative[float] = 1.0
    """coefficient of the CAMAL loss; 0 is Vanilla PPO"""
    empty_mask: Literal["skip", "suppress"] = "skip"
    """frames without a visible target: no CAMAL loss, or suppress all attention"""
    second_order: bool = True
    """let the CAMAL loss reach the layers above the feature maps"""
    normalization: Literal["max", "minmax", "none"] = "max"
    """how the CAMAL loss brings a map to [0, 1]: by its maximum, by both ends, or not at all;
    evaluations always divide by the maximum"""
    dead_maps: Literal["signed", "zero"] = "signed"
    """maps without positive evidence, which frames of negative value have: the CAMAL loss learns
    from the negative evidence (signed), or from nothing, as with the paper's ReLU (zero);
    evaluations always show an empty map"""
    compare: Literal["map-up", "mask-down"] = "map-up"
    """resolution of the CAMAL loss: the mask's, with the map upsampled, or the map's, with the mask
    averaged over each cell"""
    placement: Literal["cells", "stretched"] = "cells"
    """where the CAMAL loss places a map: where its cells lie in the frame, or stretched over the
    frame, as the paper's code has it; evaluations always place cells"""
    control: Literal["none", "random", "shifted", "swapped"] = "none"
    """masks that are wrong on purpose: as many pixels in random patches, the mask moved, or another
    frame's"""
    objective: Literal["camal", "suppress", "entropy"] = "camal"
    """beta - alpha; beta alone, no attention outside the mask; or the map's entropy, which takes no
    mask"""

    @property
    def attends(self) -> bool:
        return self.camal > 0

    @property
    def capturable(self) -> bool:
        return type(self).coefficient is Camal.coefficient

    def masks(self, storage: RolloutStorage) -> tuple[Tensor, dict[str, float]]:
        """Masks (T, N, H, W) of the rollout's frames, here the environment's own; what to log."""
        return storage.masks[: storage.num_steps], {}

    def rollout(self, storage: RolloutStorage) -> tuple[MaskWeights | None, dict[str, float]]:
        """The masks as weights on the grid of the feature maps: the targets of `loss`."""
        if not self.attends:
            return None, {}
        masks, logged = self.masks(storage)
        return self.weights(self.controlled(masks)), logged

    def controlled(self, masks: Tensor) -> Tensor:
        """Masks (T, N, H, W), or what `control` puts in their place."""
        if self.control == "none":
            return masks
        import torch

        from rl_attn.attention import random_control, shifted_control, swapped_control

        flat, random = masks.flatten(0, 1), self.context.random
        if self.control == "swapped":
            return swapped_control(flat, random).view_as(masks)
        patch = masks.shape[2] // 20  # pixels, about a target's radius
        wrong = [
            random_control(part, random, patch)
            if self.control == "random"
            else shifted_control(part, random)
            for part in flat.split(256)  # noise is float, its order int64
        ]
        return torch.cat(wrong).view_as(masks)

    def weights(self, masks: Tensor) -> MaskWeights:
        """Masks (T, N, H, W) as weights (T*N, h, w), a few steps at a time."""
        import torch

        from rl_attn.attention import MAPS, PIXELS, MaskWeights, mask_weights, pool_mask
        from rl_attn.attention.cells import size_of

        grid, cells = self.context.agent.grid, self.context.agent.cells
        if MAPS.of_pixels(self.context.settings.attention):
            grid, cells = size_of(masks), PIXELS
        elif self.placement == "stretched":
            cells = None
        parts = []
        for some in (part.flatten(0, 1) for part in masks.split(16)):
            if self.compare == "mask-down":
                parts.append(mask_weights(pool_mask(some, grid, cells), grid))
            else:
                parts.append(mask_weights(some, grid, cells))
        return MaskWeights(*(torch.cat(field) for field in zip(*parts, strict=True)))

    def coefficient(self) -> float:
        """What the mean of beta - alpha is multiplied by in this update."""
        return self.camal

    def loss(self, agent: Network, output: Output, batch: Batch) -> tuple[Tensor | None, Log]:
        if not self.attends:
            return None, {}
        from rl_attn.attention import explain
        from rl_attn.rl.agent_attention import seen_by

        settings = self.context.settings
        attention = explain(
            settings.attention,
            seen_by(agent, output, batch.shown, settings.attention_target, batch.actions),
            normalization=self.normalization,
            second_order=self.second_order,
            dead=self.dead_maps,
        )
        loss, logged = camal_terms(attention.map, batch.targets, self.empty_mask, self.objective)
        return self.coefficient() * loss, logged


def camal_terms(
    attention: Tensor,
    weights: MaskWeights,
    empty_mask: Literal["skip", "suppress"],
    objective: Literal["camal", "suppress", "entropy"] = "camal",
) -> tuple[Tensor, Log]:
    """mean(beta - alpha) (Hundal et al. 2026, Eq. 2), a scalar, and its parts for the log.

    Args:
        attention: (B, h, w).
        weights: the samples' masks at that grid.
        empty_mask: "skip" or "suppress", see `camal_loss`.
        objective: "camal", or in its place "suppress", the mean of beta, or "entropy", of the map.
    """
    import torch

    from rl_attn.attention import alpha_beta, camal_loss, entropy
    from rl_attn.rl.entries import over

    alpha, beta = alpha_beta(attention, weights)
    if objective == "entropy":
        loss = entropy(attention).mean()
    else:
        inside = torch.zeros_like(alpha) if objective == "suppress" else alpha
        loss = camal_loss(inside, beta, weights.present, empty_mask).mean()
    return loss, {
        "attention/camal": loss,
        "attention/alpha": over(alpha.clamp_min(0), weights.present),  # dead: nothing attended
        "attention/beta": over(beta.clamp_min(0), weights.present),
        "attention/empty_masks": 1 - weights.present.float().mean(),
        "attention/dead_maps": (attention.detach().amax(dim=(1, 2)) <= 0).float().mean(),
    }
