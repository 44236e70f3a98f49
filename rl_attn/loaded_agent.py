"""A trained agent that answers for any frame: `rl_attn.load(run)` gives one.

    agent = rl_attn.load("runs/DefendCenter/...")
    agent.explain("frame.png", maps=["grad-cam", "input-gradient"])

A picture is one moment: where the network sees several frames, they are all this one, so that
nothing in it moves; a recurrent network remembers nothing.

Letters: S stacked frames, C channels a frame, H x W pixels.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from rl_attn.agents import Network
from rl_attn.agents.heads import Categorical
from rl_attn.errors import UserError
from rl_attn.explanation import Explanation, explanation
from rl_attn.map_names import MAPS
from rl_attn.overlay import on
from rl_attn.rl.agent_attention import attention_maps
from rl_attn.rl.loading import load
from rl_attn.rl.methods import Method
from rl_attn.rl.settings import AgentSettings, check_target
from rl_attn.supervised.data.images import ImageOptions
from rl_attn.supervised.inputs import Source, opened, opened_mask


class Agent:
    """An actor-critic and what it is shown of a picture."""

    def __init__(
        self,
        network: Network,
        stack: int,
        channels: int,
        actions: Sequence[str] = (),
        target: str = "value",
        attention: str = "grad-cam",
        method: Method | None = None,
        settings: AgentSettings | None = None,
    ):
        """
        Args:
            stack, channels: S and C.
            actions: names of a Discrete space's; empty: their numbers.
            target: whose attention, "value" or "action".
            attention: the map that is shown by default.
            method: the one that it was trained with, where that decides what it is shown.
            settings: of its run, if it has one.
        """
        self.network, self.stack, self.channels = network.eval(), stack, channels
        self.target, self.attention, self.method = target, attention, method
        self.actions, self.settings = tuple(actions), settings
        self.device = next(network.parameters()).device

    def preprocess(self, image: Source, mask: Path | str | None = None) -> Tensor:
        """(1, S*C, H, W): the picture at the frames' size, S times, as its method shows it."""
        return self._shown(*self.read(image, mask))

    def read(self, image: Source, mask: Path | str | None = None) -> tuple[Tensor, Tensor | None]:
        """The picture at the frames' size (C, H, W) uint8, and the mask (H, W) of 0 and 1.

        UserError: a file that is no image, a mask of another size, none where the agent sees it.
        """
        if mask is None and self.method is not None and self.method.needs_masks:
            name = self.settings.method if self.settings else type(self.method).__name__
            which = image if isinstance(image, str | Path) else "the picture"
            raise UserError(
                f"{which} has no mask, and an agent of --method {name} sees the targets by it: "
                "give mask=FILE, or to rl-attn explain x_mask.png beside x.png, or --masks FOLDER"
            )
        picture, marked = opened(image, ImageOptions(alpha="white")), None
        pixels = np.asarray(picture.convert("RGB" if self.channels == 3 else "L"))
        height, width = self.network.frame_size
        if mask is not None:
            levels = np.asarray(opened_mask(Path(mask), picture.size).convert("L"))
            region = cv2.resize(on(levels).astype(np.float32), (width, height), None, 0, 0, 3)
            marked = torch.from_numpy(region > 0.5).float()
        if pixels.shape[:2] != (height, width):
            pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
        frame = pixels.reshape(height, width, self.channels).transpose(2, 0, 1).copy()
        return torch.from_numpy(frame), marked

    def explain(
        self,
        image: Source,
        maps: Sequence[str] = (),
        label: str | None = None,
        mask: Path | str | None = None,
        target: str | None = None,
    ) -> Explanation:
        """The action that the agent prefers, what it expects, and where it looks.

        Args:
            maps: by their names in MAPS; empty: the one that was trained.
            label: of agents None alone: the likeliest action is explained.
            mask: a file, white where the targets are; needed where the agent sees it.
            target: "value" or "action"; None: as in training.
        """
        if label is not None:
            raise UserError(f"label {label}: of an agent the likeliest action is explained")
        if target and self.settings:
            check_target(self.settings, target)
        frame, marked = self.read(image, mask)
        target = target or self.target
        stacks = self._shown(frame, marked)
        memory, attentions, output = self.network.blank(1), {}, None
        for name in self.maps(maps):
            attentions[name], output = attention_maps(
                self.network, stacks, target, attention=name, memory=memory
            )
        assert output is not None
        label, scores = self._said(output.policy)
        if not (self.method and self.method.judges):  # else the agent has no value of its own
            scores["value"] = output.value.item()
        explained = "the value" if target == "value" else ""
        return explanation(frame, attentions, label, scores, marked, explained=explained)

    def maps(self, names: Sequence[str] = ()) -> list[str]:
        """These maps, or the agent's own; UserError for an unknown one."""
        for name in names:
            MAPS.check(name)
        return list(names) or [self.attention]

    def _said(self, policy: object) -> tuple[str, dict[str, float]]:
        """The likeliest action, and the probability of each where there are so many."""
        mode = policy.mode()[0]  # pyright: ignore[reportAttributeAccessIssue]
        if not isinstance(policy, Categorical):
            return str(np.round(mode.cpu().numpy(), 3).tolist()), {}
        shares = policy.parameters[0].softmax(0).tolist()
        names = self.actions or [f"action {i}" for i in range(len(shares))]
        return names[int(mode)], dict(zip(names, shares, strict=True))

    def _shown(self, frame: Tensor, mask: Tensor | None) -> Tensor:
        """`Method.observe` of a frame (C, H, W) and its mask (H, W), S times."""
        stacks = frame.repeat(self.stack, 1, 1)[None].to(self.device)
        if self.method is None:
            return stacks
        size = stacks.shape[2:]
        one = torch.zeros(size) if mask is None else mask
        masks = one.round().to(stacks).expand(1, self.stack, *size)
        with torch.no_grad():
            return self.method.observe(stacks, masks, "evaluate")


def load_agent(run: Path, device: torch.device, checkpoint: str = "latest") -> Agent:
    """The agent of a run of rl-attn ppo."""
    player = load(run, checkpoint, device)
    settings, environment = player.settings, player.environment
    return Agent(
        player.agent,
        settings.frame_stack,
        environment.frame_shape[2],
        environment.action_names,
        settings.attention_target,
        settings.attention,
        player.method,
        settings,
    )


def load_model(file: Path, device: torch.device) -> Agent:
    """The agent of a `model.zip` of stable-baselines3; frames of 3, 6, ... channels are RGB."""
    from rl_attn.rl.sb3_agent import load_sb3

    agent = load_sb3(file, device)
    channels = 3 if agent.in_channels % 3 == 0 else 1
    return Agent(agent, agent.in_channels // channels, channels, target=agent.target)
