"""The CAMAL loss inside stable-baselines3: a PPO that looks at its targets.

    from stable_baselines3.common.vec_env import VecFrameStack, VecMonitor

    from rl_attn.sb3 import CamalPPO, LanesVecEnv

    env = VecFrameStack(VecMonitor(LanesVecEnv("DefendCenter", num_envs=8)), 4)
    model = CamalPPO("CamalPolicy", env, camal=1.0, n_steps=128, batch_size=256)
    model.learn(100_000)

>>> env = LanesVecEnv("Basic", num_envs=1, resolution=(160, 120))
>>> model = CamalPPO("CamalPolicy", env, n_steps=4, batch_size=4, n_epochs=1, device="cpu")
>>> isinstance(model.policy, CamalPolicy), model.learn(4).num_timesteps
(True, 4)
>>> isinstance(model.policy.features_extractor, WithoutMask)  # the mask never reaches it
True
>>> env.close()

Everything of `stable_baselines3.PPO` stays as it is: save, load, callbacks, `evaluate_policy`,
wrappers. Observations are dicts of `frame` and `mask` (`make_vec_env("rl_attn/Basic-v0")` gives
them too); the mask never reaches the network.

The loss is `rl.methods.camal`'s, on the forward that makes PPO's. PPO's `train` calls
`policy.evaluate_actions` and derives its loss; here that call also computes CAMAL's, and ties its
gradient to the values that it returns (`_AlongWith`), so that one backward pass serves both.

Needs the extra: pip install 'rl-attn[sb3]'
"""

import inspect
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn

try:
    from stable_baselines3 import PPO
    from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
    from stable_baselines3.common.torch_layers import (
        BaseFeaturesExtractor,
        CombinedExtractor,
        NatureCNN,
    )
    from stable_baselines3.common.vec_env import VecFrameStack
except ImportError:
    raise ImportError("rl_attn.sb3 needs stable-baselines3: pip install 'rl-attn[sb3]'") from None

from rl_attn.agents import Output
from rl_attn.agents.heads import Categorical, head_of
from rl_attn.attention import (
    MAPS,
    Attention,
    Cells,
    Seen,
    explain,
    in_unit,
    measure,
    resize_mask,
    tap,
)
from rl_attn.attention.cells import size_of
from rl_attn.errors import choose
from rl_attn.lazy import names_of
from rl_attn.rl.agent_attention import attention_score
from rl_attn.rl.entries import entry
from rl_attn.rl.methods.camal import camal_terms

if TYPE_CHECKING:  # whoever has environments of their own needs no vizdoom
    from rl_attn.rl.sb3_lanes import LanesVecEnv

__all__ = ["CamalPPO", "CamalPolicy", "LanesVecEnv", "WithoutMask"]

__getattr__ = names_of(__name__, __file__)


class WithoutMask(BaseFeaturesExtractor):
    """Any features extractor, which sees all of the observation but the mask."""

    def __init__(
        self,
        observation_space: gymnasium.spaces.Dict,
        extractor_class: type[BaseFeaturesExtractor] = NatureCNN,
        mask_key: str = "mask",
        **settings: Any,
    ) -> None:
        """`settings` are the extractor's own. It gets the frame by itself if nothing else is left,
        unless it is a CombinedExtractor, which wants a dict."""
        rest = {key: space for key, space in observation_space.spaces.items() if key != mask_key}
        alone = len(rest) == 1 and not issubclass(extractor_class, CombinedExtractor)
        space: Any = next(iter(rest.values())) if alone else gymnasium.spaces.Dict(rest)
        extractor = extractor_class(space, **settings)
        super().__init__(observation_space, extractor.features_dim)
        self.extractor, self.alone, self.mask_key = extractor, alone, mask_key

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        rest = {key: tensor for key, tensor in observations.items() if key != self.mask_key}
        return self.extractor(next(iter(rest.values())) if self.alone else rest)


class CamalPolicy(ActorCriticPolicy):
    """The network of `agents.ActorCritic`: three convolutions, a layer of 512, two linear heads."""

    def __init__(
        self,
        *arguments: Any,
        net_arch: list[int] | dict[str, list[int]] | None = None,
        features_extractor_class: type[BaseFeaturesExtractor] = NatureCNN,
        **settings: Any,
    ) -> None:
        super().__init__(
            *arguments,
            net_arch=[] if net_arch is None else net_arch,
            features_extractor_class=features_extractor_class,
            **settings,
        )


class CamalPPO(PPO):
    """stable-baselines3's PPO with one more term in its loss, camal * mean(beta - alpha)."""

    _cells: Cells  # of the forward that was recorded last

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {
        **PPO.policy_aliases,
        "CamalPolicy": CamalPolicy,
    }

    def __init__(
        self,
        policy: str | type[ActorCriticPolicy] = "CamalPolicy",
        env: Any = None,
        *arguments: Any,
        camal: float = 1.0,
        attention_target: Literal["value", "action"] = "value",
        attention: str = "grad-cam",
        empty_mask: Literal["skip", "suppress"] = "skip",
        second_order: bool = True,
        layer: str | None = None,
        frame_key: str = "frame",
        mask_key: str = "mask",
        **settings: Any,
    ) -> None:
        """
        Args:
            policy: "CamalPolicy", "MultiInputPolicy" or a class; its features extractor must have
                a convolution.
            env: its observations have `frame` and `mask`; a mask is (H, W), (H, W, 1) or (1, H, W),
                of any size: bool, 0 and 1, 0 and 255, or floats in [0, 1]. `VecFrameStack` may
                stack both.
            camal: coefficient of the loss; 0 is PPO as it is, with the IoU in its log.
            layer: whose maps are trained, as `extractor.named_modules()` calls it; None: the last
                convolution, with the ReLU that follows it. The log says which, attention/layer.
            frame_key, mask_key: what the observations call them.
            attention_target, attention, empty_mask, second_order: as `rl_attn.ppo` has them; maps
                of feature maps alone.
            arguments, settings: PPO's own.
        """
        if camal < 0:
            raise ValueError(f"camal is {camal}: it must be 0 (plain PPO) or more")
        for name, value, choices in (
            ("attention_target", attention_target, ("value", "action")),
            ("empty_mask", empty_mask, ("skip", "suppress")),
        ):
            if value not in choices:
                raise ValueError(f"{name} is {value!r}: choose {' or '.join(choices)}")
        MAPS.check_trained(attention)
        if MAPS.kinds[attention] != "features":
            raise ValueError(
                f"attention is {attention!r}, which takes forwards of its own: choose a map of "
                "features"
            )
        self.camal, self.attention_target, self.attention = camal, attention_target, attention
        self.empty_mask: Literal["skip", "suppress"] = empty_mask
        self.second_order = second_order
        self.layer, self.frame_key, self.mask_key = layer, frame_key, mask_key
        super().__init__(policy, env, *arguments, **settings)

    def _setup_model(self) -> None:
        """PPO's, with the features extractor kept from seeing the mask."""
        spaces = self._observed()
        if not {self.frame_key, self.mask_key} <= set(spaces):
            raise ValueError(
                f"CamalPPO needs observations with {self.frame_key!r} and {self.mask_key!r} (see "
                f"frame_key and mask_key), not {self.observation_space}"
            )
        if self.attention_target == "action" and self.use_sde:
            raise ValueError(
                "attention_target='action' has no policy to explain under use_sde=True, whose "
                "deviations depend on the state: take 'value', or use_sde=False"
            )
        self.policy_kwargs = _without_mask(self.policy_class, self.policy_kwargs, self.mask_key)
        super()._setup_model()
        self.tapped  # noqa: B018 (refuses what cannot be tapped)
        if self.env is not None:
            self._masks({key: torch.zeros(1, *spaces[key].shape) for key in spaces})

    def _observed(self) -> dict[str, Any]:
        """The spaces of the observations; none where they are no dictionaries."""
        return getattr(self.observation_space, "spaces", {})

    def _explained_extractor(self) -> nn.Module:
        value = self.attention_target == "value"
        return self.policy.vf_features_extractor if value else self.policy.pi_features_extractor

    @property
    def tapped(self) -> str:
        """Name of the layer within the features extractor whose maps are trained."""
        extractor = self._explained_extractor()
        if self.layer is None:
            return tapped_layer(extractor)
        names = [name for name, _ in extractor.named_modules() if name]
        return choose("layer of the features extractor", self.layer, names)

    def _masks(self, observations: dict[str, Tensor]) -> Tensor:
        """(B, H, W) in [0, 1], of the frames' size, whatever bounds the space gives."""
        masks = current_masks(observations, _stacked(self.env), self.frame_key, self.mask_key)
        whole = masks.long()  # buffers and resizing make floats of integers
        return in_unit(whole if (whole == masks).all() else masks)

    def train(self) -> None:
        """PPO's update; during it the policy's evaluations carry CAMAL's gradient."""
        log: dict[str, list[float]] = defaultdict(list)
        original, head = self.policy.evaluate_actions, head_of(self.action_space)

        def evaluate_actions(obs: Any, actions: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
            if self.camal == 0 and log:
                return original(obs, actions)
            with self._tapped() as output_of:
                values, log_prob, entropy = original(obs, actions)
                output = output_of(values)
            masks = self._masks(obs)
            actions = actions.reshape(-1, *head.action_shape).to(head.dtype)
            terms = self._attention_terms(output, actions, masks)
            if not log:
                log["attention/iou"].append(self._iou(output, actions, masks))
            for name, value in terms.items():
                log[name].append(value.item())
            if self.camal:
                values = _AlongWith.apply(values, self.camal * terms["attention/camal"])
            return values, log_prob, entropy

        self.policy.evaluate_actions = evaluate_actions
        try:
            super().train()
        finally:
            del self.policy.evaluate_actions
        self.logger.record("attention/layer", self.tapped, exclude="tensorboard")
        for name, values in log.items():
            self.logger.record(name, float(np.mean(values)))

    @contextmanager
    def _tapped(self) -> Iterator[Any]:
        """Record a forward; `output_of(values)` is then what the loss takes."""
        extractor, head, outputs = self._explained_extractor(), head_of(self.action_space), []
        handle = self.policy.action_net.register_forward_hook(
            lambda *call: outputs.append(call[-1])
        )
        try:
            with tap(extractor, self.tapped, second_order=self.second_order) as features:

                def output_of(values: Tensor) -> Output:
                    self._cells, parameters = features.cells, outputs[-1]
                    if isinstance(self.action_space, gymnasium.spaces.Box):  # these are the means
                        spread = torch.zeros_like(parameters)
                        spread = spread if self.use_sde else spread + self.policy.log_std
                        parameters = torch.cat([parameters, spread], dim=1)
                    return Output(head(parameters), values.flatten(), features())

                yield output_of
        finally:
            handle.remove()

    def _attention(self, output: Output, actions: Tensor, **options: Any) -> Attention:
        discrete = self.attention_target == "action" and isinstance(output.policy, Categorical)
        seen = Seen(
            score=attention_score(output, actions, self.attention_target),
            features=output.features,
            cells=self._cells,
            logits=output.policy.parameters if discrete else None,
            labels=actions,
        )
        return explain(self.attention, seen, second_order=self.second_order, **options)

    def _attention_terms(self, output: Output, actions: Tensor, masks: Tensor) -> dict[str, Tensor]:
        """CAMAL's loss on these masks (B, H, W), with its parts for the log."""
        attention = self._attention(output, actions, dead="signed")
        _, logged = camal_terms(attention.map, attention.weights(masks), self.empty_mask)
        return {name: entry(value).value for name, value in logged.items()}

    def _iou(self, output: Output, actions: Tensor, masks: Tensor) -> float:
        """Mean IoU over the samples with a target, before the update's first step."""
        found = measure(self._attention(output, actions).detach(), masks)
        visible = found["present"]
        return found["iou"][visible].mean().item() if visible.any() else float("nan")


class _AlongWith(torch.autograd.Function):
    """Values that pass unchanged; their backward pass is the extra loss's as well.

    For a loss L computed from the values, L.backward() then gives the gradient of L + extra.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, extra: Tensor) -> Tensor:
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        return gradient, gradient.new_ones(())


def current_masks(
    observations: dict[str, Tensor],
    stacked: int = 1,
    frame_key: str = "frame",
    mask_key: str = "mask",
) -> Tensor:
    """The newest frames' masks (B, H, W), of the frames' size.

    Args:
        observations: frames (B, C, H, W) and masks (B, h, w), (B, h, w, 1) or (B, 1, h, w). Masks
            of another size than the frames are scaled: a pixel is on that any of the target's
            touches.
        stacked: how many `VecFrameStack` has put beside each other along an axis, the newest last.
    """
    frames, masks = observations[frame_key], observations[mask_key]
    shape, size = tuple(masks.shape[1:]), size_of(frames)
    if len(shape) == 3:
        if shape[0] == 1:
            masks = masks[:, 0]
        elif stacked in (shape[0], shape[-1]):  # one a channel
            masks, stacked = (masks[..., -1] if shape[-1] == stacked else masks[:, -1]), 1
        else:
            raise ValueError(_layouts(shape))
    if masks.ndim != 3 or masks.shape[-1] % stacked:
        raise ValueError(_layouts(shape))
    width = masks.shape[-1] // stacked
    return resize_mask(masks[..., -width:], size, "max") if masks.shape[-2:] != size else masks


def _layouts(shape: tuple[int, ...]) -> str:
    return f"masks must be (H, W), (H, W, 1) or (1, H, W), stacked by VecFrameStack alone: {shape}"


def _stacked(env: Any) -> int:
    """How many observations `VecFrameStack` has put into one."""
    while env is not None:
        if isinstance(env, VecFrameStack):
            return env.stacked_obs.n_stack
        env = getattr(env, "venv", None)
    return 1


def tapped_layer(extractor: nn.Module) -> str:
    """Name of the last convolution's output: the activation after it, if one follows directly."""
    modules = [(name, m) for name, m in extractor.named_modules() if not list(m.children())]
    places = [i for i, (_, module) in enumerate(modules) if isinstance(module, nn.Conv2d)]
    if not places:
        raise ValueError(
            f"{type(extractor).__name__} has no convolution whose attention could be trained: "
            "choose a features extractor with nn.Conv2d, such as NatureCNN"
        )
    name, _ = modules[places[-1]]
    following = modules[places[-1] + 1 : places[-1] + 2]
    if following and isinstance(
        following[0][1], nn.ReLU | nn.ELU | nn.GELU | nn.SiLU | nn.LeakyReLU
    ):
        return following[0][0]
    return name


def _without_mask(
    policy_class: type, policy_kwargs: dict[str, Any], mask_key: str
) -> dict[str, Any]:
    """Arguments of the policy with its features extractor inside a `WithoutMask`."""
    default = (
        inspect.signature(policy_class.__init__).parameters["features_extractor_class"].default
    )
    extractor = policy_kwargs.get("features_extractor_class", default)
    if extractor is WithoutMask:
        return policy_kwargs
    own = policy_kwargs.get("features_extractor_kwargs") or {}
    return {
        **policy_kwargs,
        "features_extractor_class": WithoutMask,
        "features_extractor_kwargs": {"extractor_class": extractor, "mask_key": mask_key, **own},
    }
