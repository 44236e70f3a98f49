"""A finished run of VAPL that answers: a picture and a prompt in, both models' predictions out.

What is drawn counts by its colour: red is indispensable, yellow precluded. Letters: H x W pixels of
a person's picture, S x S of what the models see.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from rl_attn.attention import INDISPENSABLE, PRECLUDED, UNDECIDED
from rl_attn.errors import UserError
from rl_attn.run.checkpoint import fitting, latest_checkpoint, load_checkpoint
from rl_attn.run.folder import load_args
from rl_attn.supervised.batches import Batch
from rl_attn.supervised.data.resize import resize
from rl_attn.supervised.evaluation import at_rest, attention_of
from rl_attn.supervised.loop import NetworkState, best_of
from rl_attn.supervised.methods.vapl import Vapl
from rl_attn.supervised.network import Network
from rl_attn.supervised.prompts import decode, encode
from rl_attn.supervised.run import build
from rl_attn.supervised.settings import args_type

RED, YELLOW = "#e00000", "#ffd800"


class Answer(NamedTuple):
    """Probabilities (classes,) and maps (S, S) in [0, 1] of one picture."""

    picture: np.ndarray  # (S, S, 3) uint8, as the models see it
    plain: np.ndarray  # f_o's
    before: np.ndarray  # f_m's without a prompt: all undecided
    after: np.ndarray  # f_m's with the prompt
    refined: np.ndarray  # A
    plain_attention: np.ndarray  # Grad-CAM of what each model predicts
    prompted_attention: np.ndarray


class Steered:
    """The models of a run's folder."""

    def __init__(self, run: Path, device: torch.device):
        args = load_args(run, args_type)
        if args.method != Vapl.name:
            raise UserError(f"{run} trained {args.method}: only a run of vapl takes prompts")
        checkpoint = latest_checkpoint(run)
        if checkpoint is None:
            raise UserError(f"{run} has no checkpoint: train it first")
        trainer = build(args, device)
        state = load_checkpoint(checkpoint, NetworkState, device, more=True)
        with fitting(checkpoint):
            network, extra = best_of(state)
            trainer.network.model.load_state_dict(network)
            trainer.extra.load_state_dict(extra)
        self.method, self.network = trainer.method, trainer.network
        self.view, self.device = trainer.train.view, device
        self.test = trainer.data.splits["test"]
        self.size, self.classes = trainer.data.size[0], trainer.data.classes
        self.channels = trainer.train.split.images.shape[1]

    def __call__(self, picture: np.ndarray, prompt: np.ndarray) -> Answer:
        """Answer for a picture (H, W, 3) uint8 and a prompt (H, W) of {-1, 0, 1}."""
        seen = torch.from_numpy(fitted(picture, self.size)).permute(2, 0, 1)[None]
        x = self.view.pictures(self.as_trained(seen).to(self.device))  # (1, C, S, S)
        said = decode(self.scaled(prompt)).to(self.device)
        nothing = torch.full_like(said, UNDECIDED)
        before, _ = self.method.predict(x, nothing)
        after, refined = self.method.predict(x, said)
        plain, plain_attention = looked(self.network, x)
        _, prompted_attention = looked(self.method.prompted, x * refined[:, None])
        values = (plain, before, after)
        probabilities = [logits.softmax(1)[0].cpu().numpy() for logits in values]
        maps = [m[0].cpu().numpy() for m in (refined, plain_attention, prompted_attention)]
        return Answer(seen[0].permute(1, 2, 0).numpy(), *probabilities, *maps)

    def as_trained(self, pictures: Tensor) -> Tensor:
        """RGB bytes in the channels that the data set has."""
        if self.channels == 3:
            return pictures
        weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
        return (pictures * weights).sum(1, keepdim=True).round().to(torch.uint8)

    def scaled(self, prompt: np.ndarray) -> Tensor:
        """A prompt (H, W) as a mask (1, S, S) in [0, 1]."""
        grey = encode(torch.from_numpy(prompt)[None])
        return resize(grey, self.size).float() / 255


def looked(network: Network, x: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (1, classes), and the Grad-CAM (1, H, W) of the class that they prefer."""
    with at_rest(network):
        with torch.no_grad():
            label = network.plain(x).logits.argmax(1)
        logits, attention = attention_of(network, Batch(x, label, None, None, torch.arange(1)))
    return logits, attention.upsample(tuple(x.shape[2:]))


def fitted(picture: np.ndarray, size: int) -> np.ndarray:
    """(H, W, 3) -> (size, size, 3), stretched as training pictures are."""
    return np.array(Image.fromarray(picture).resize((size, size), Image.Resampling.BILINEAR))


def drawn(layers: list[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """The prompt (H, W) int8 that layers (H, W, 4) of red and yellow say; later ones win."""
    prompt = np.full(size, UNDECIDED, np.int8)
    for layer in layers:
        on, red = (
            layer[..., 3] > 127,
            layer[..., 1] < 108,
        )  # halfway between red's and yellow's green
        prompt[on & red], prompt[on & ~red] = INDISPENSABLE, PRECLUDED
    return prompt
