"""Any model of open_clip, ready to be asked: weights loaded or an error, never random by accident.

    clip = load_clip("ViT-B-16", "openai", device)
    logits = clip.logits(clip.embed(clip.prepare(images)), clip.texts(prompts))   # (B, P)

Letters: B pictures, P words, T templates, D the width of the common space, S the input size.
"""

import logging
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import open_clip
import torch
from torch import Tensor, nn
from torchvision.transforms.v2.functional import normalize, resize

from rl_attn.errors import UserError, choose, one_line
from rl_attn.teachers.prompts import Prompts

RANDOM = "random"  # weights for tests; whatever is written with them says so
QUICK = "-quickgelu"
_FORMAT = "local-dir:"
#: What open_clip and torch raise for weights that are not there or are something else.
_UNREADABLE = (RuntimeError, OSError, ValueError, LookupError, EOFError, pickle.PickleError)


@dataclass(frozen=True)
class Clip:
    model: nn.Module  # frozen, in eval mode
    tokens: object  # open_clip's tokenizer of that model
    name: str
    weights: str

    @property
    def visual(self) -> nn.Module:
        return self.model.visual

    @property
    def device(self) -> torch.device:
        return self.model.logit_scale.device

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the model's input."""
        size = self.visual.image_size
        return (size, size) if isinstance(size, int) else tuple(size)

    def prepare(self, images: Tensor) -> Tensor:
        """Pictures (B, 1 or 3, H, W), uint8 or floats in [0, 1], as the model takes them."""
        if images.ndim != 4 or images.shape[1] not in (1, 3):
            raise ValueError(f"images must be (B, 1 or 3, H, W), got {tuple(images.shape)}")
        images = images.to(self.device)
        images = images.float() if images.is_floating_point() else images / 255
        images = resize(images.expand(-1, 3, -1, -1), list(self.size), antialias=True)
        settings = open_clip.get_model_preprocess_cfg(self.model)
        return normalize(images, list(settings["mean"]), list(settings["std"]))

    def embed(self, pictures: Tensor) -> Tensor:
        """Prepared pictures to (B, D), of length 1."""
        return self.model.encode_image(pictures, normalize=True)

    @torch.no_grad()
    def texts(self, prompts: Prompts) -> Tensor:
        """(T, P, D) of length 1: every word in every template."""
        encoded = []
        for template in prompts.templates:
            sentences = [template.format(word) for word in prompts.words]
            tokens = self.tokens(sentences).to(self.device)
            encoded.append(self.model.encode_text(tokens, normalize=True))
        return torch.stack(encoded)

    def logits(self, images: Tensor, texts: Tensor) -> Tensor:
        """Scaled cosines of (B, D) and (P, D), (B, P)."""
        return self.model.logit_scale.exp() * images @ texts.T


def load_clip(
    name: str,
    weights: str,
    device: torch.device | str = "cpu",
    size: int | tuple[int, int] | None = None,
) -> Clip:
    """A frozen CLIP.

    Args:
        name: a model of open_clip ("ViT-B-16"); "doom" for the teacher trained by
            `python -m rl_attn.teachers.offline`; or a folder that open_clip can load.
        weights: a tag of open_clip ("openai"), a file, or "random" for tests alone. "doom" and
            folders bring their own.
        size: of the model's input, where it should not be the model's own: position embeddings
            are interpolated, and a larger input gives finer masks.

    UserError: unknown names, impossible sizes, weights that are not there or cannot be downloaded.
    """
    if size is not None and np.min(size) <= 0:
        raise UserError(f"the input size of {name} must be positive, got {size}")
    source, weights = _source(name, weights)
    own = None if weights in (RANDOM, "own") else weights
    with _quiet():
        try:
            model = open_clip.create_model(
                source,
                own,
                device=device,
                force_image_size=size,
                require_pretrained=weights != RANDOM,
            )
            tokens = open_clip.get_tokenizer(source)
        except _UNREADABLE as error:
            raise _unavailable(name, weights, error) from None
    return Clip(model.eval().requires_grad_(False), tokens, name, weights)


def _source(name: str, weights: str) -> tuple[str, str]:
    """What open_clip is asked for: (model, weights)."""
    if name == "doom" or Path(name).is_dir():
        from rl_attn.teachers.offline_training import default_folder, is_complete

        folder = default_folder() if name == "doom" else Path(name)
        if name == "doom" and not is_complete(folder):
            raise UserError(
                "the offline teacher is not there yet: train it with "
                "python -m rl_attn.teachers.offline (minutes, without a network)"
            )
        return f"{_FORMAT}{folder}", "own"
    choose("CLIP model", name, [*open_clip.list_models(), "doom"])
    if weights == RANDOM or Path(weights).is_file():
        return name, weights
    tags = open_clip.list_pretrained_tags_by_model(name)
    choose(f"weights of {name}", weights, [*tags, "a file", RANDOM])
    if weights not in tags:
        raise UserError(f"--weights {weights!r} must be the path of a file")
    return _with_its_activation(name, weights), weights


def _with_its_activation(name: str, weights: str) -> str:
    """Weights trained with QuickGELU need the configuration of that name, or maps are off."""
    tag = open_clip.get_pretrained_cfg(name, weights)
    quick = name if name.endswith(QUICK) else name + QUICK
    has = (open_clip.get_model_config(name) or {}).get("quick_gelu", False)
    return quick if tag.get("quick_gelu") and not has and quick in open_clip.list_models() else name


def _unavailable(name: str, weights: str, error: Exception) -> UserError:
    reason = one_line(error)[:300]
    return UserError(
        f"weights {weights!r} of {name} could not be loaded ({reason}). Ways out: run once with a "
        "network, they are then kept; name a file that you downloaded elsewhere as the weights; "
        "train the offline teacher with python -m rl_attn.teachers.offline and take the model "
        "'doom'; or take masks made elsewhere. Random weights are never taken instead"
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """open_clip tells its whole course to the root logger, random weights included."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        root.setLevel(level)
