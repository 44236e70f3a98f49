"""A teacher: pictures and words in, masks out.

    teacher = Teacher(load_clip("ViT-B-16", "openai"), Prompts(("dog", "cat")))
    taught = teacher(images, labels)          # masks (B, H, W) in [0, 1], confidence (B,)

Three ways to read a CLIP: `clip-es` (Grad-CAM spread by attention; best where it is known what a
picture shows), `naclip` (one forward, no gradient), `cam` (plain Grad-CAM, any model).

Coarse maps gain from being read more than once: of the picture at several input sizes, and of its
mirror image.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from rl_attn.attention import upsample
from rl_attn.errors import choose
from rl_attn.teachers.clip import Clip
from rl_attn.teachers.clip_es import clip_es
from rl_attn.teachers.grad_cam import clip_grad_cam, tapped
from rl_attn.teachers.naclip import naclip, probability
from rl_attn.teachers.pamr import pamr
from rl_attn.teachers.prompts import Prompts
from rl_attn.teachers.vit import transformer_of

Method = Literal["clip-es", "naclip", "cam"]


class Taught(NamedTuple):
    """A teacher's masks, and how sure it is of them.

    >>> Taught(masks=torch.zeros(1, 8, 8), confidence=torch.ones(1)).confidence
    tensor([1.])
    """

    masks: Tensor  # (B, H, W) or (B, classes, H, W), float in [0, 1]
    confidence: Tensor  # (B,) or (B, classes): the words' share of the softmax, picture as a whole


class Teacher:
    """One CLIP, one set of words, one method; nothing is kept between calls."""

    def __init__(
        self,
        clip: Clip | Sequence[Clip],
        prompts: Prompts,
        method: Method = "clip-es",
        refine: bool = False,
        batch_size: int = 32,
        *,
        spread: bool = True,
        mirror: bool = False,
    ):
        """UserError: a method that this model cannot serve.

        Args:
            clip: a sequence is one model loaded for several input sizes, over which maps are
                averaged.
            refine: draw masks to the picture's edges (PAMR).
            batch_size: bounds the memory.
            spread: of `clip-es`: False stops at its Grad-CAM. A small network's attention says
                little about what belongs together.
            mirror: average over the picture and its mirror image.
        """
        self.clips = (clip,) if isinstance(clip, Clip) else tuple(clip)
        choose("teacher", method, get_args(Method))
        for sized in self.clips:
            if method != "cam":
                transformer_of(sized, method)
            else:
                tapped(sized)
        self.clip, self.prompts, self.method = self.clips[0], prompts, method
        self.refine, self.batch_size = refine, batch_size
        self.spread, self.mirror = spread, mirror
        texts = self.clip.texts(prompts)  # (T, P, D)
        mean = texts.mean(0)  # of the templates; only plain Grad-CAM keeps them apart
        self.texts = texts if method == "cam" else mean / mean.norm(dim=-1, keepdim=True)

    def __call__(self, images: Tensor, labels: Tensor | None = None) -> Taught:
        """One mask a picture.

        Args:
            images: (B, 1 or 3, H, W), uint8 or floats in [0, 1].
            labels: (B,), the foreground word of each picture, the others then being no rivals (a
                picture's own classes against the background, CLIP-ES); None asks for all
                foreground words together. With a single foreground word labels do not matter.

        Returns:
            masks (B, H, W), confidence (B,).
        """
        words, foreground = len(self.prompts.words), len(self.prompts.foreground)
        if foreground == 1:
            labels = None
        asked = torch.zeros(len(images), 1, words, dtype=torch.bool)
        if labels is None:
            asked[..., :foreground] = True
        else:
            asked.scatter_(2, labels.cpu().long()[:, None, None], True)
        rivals = torch.zeros_like(asked)
        rivals[..., foreground:] = True
        masks, confidence = self._ask(images, asked, rivals)
        return Taught(masks[:, 0], confidence[:, 0])

    def each(self, images: Tensor) -> Taught:
        """A mask of every foreground word: (B, classes, H, W), confidence (B, classes)."""
        words, foreground = len(self.prompts.words), len(self.prompts.foreground)
        asked = torch.eye(words, dtype=torch.bool)[:foreground].expand(len(images), -1, -1)
        return self._ask(images, asked, torch.ones_like(asked))

    @torch.no_grad()
    def _ask(self, images: Tensor, asked: Tensor, rivals: Tensor) -> Taught:
        """asked, rivals: (B, M, P) bool; answers (B, M, H, W) and (B, M), batch by batch."""
        parts = [part.split(self.batch_size) for part in (images, asked, rivals)]
        answers = [self._batch(*some) for some in zip(*parts, strict=True)]
        return Taught(*(torch.cat(field) for field in zip(*answers, strict=True)))

    def _batch(self, images: Tensor, asked: Tensor, rivals: Tensor) -> Taught:
        asked, rivals = asked.to(self.clip.device), rivals.to(self.clip.device)
        read = [self._read(clip, images, asked, rivals) for clip in self.clips]
        if self.mirror:
            flipped = [self._read(clip, images.flip(-1), asked, rivals) for clip in self.clips]
            read += [(masks.flip(-1), shares) for masks, shares in flipped]
        masks, shares = (torch.stack(parts).mean(0) for parts in zip(*read, strict=True))
        if self.refine:
            masks = pamr(images.to(self.clip.device), masks)
        return Taught(masks.clamp(0, 1), shares)

    def _read(
        self, clip: Clip, images: Tensor, asked: Tensor, rivals: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Masks (B, M, H, W) of pictures at one input size, and the words' shares (B, M)."""
        pictures = clip.prepare(images)
        if self.method == "cam":
            maps, logits = clip_grad_cam(clip, pictures, self.texts, asked)
        elif self.method == "naclip":
            maps, logits = naclip(clip, pictures, self.texts, asked, rivals)
        else:
            maps, logits = clip_es(clip, pictures, self.texts, asked, rivals, spread=self.spread)
        masks = upsample(maps.flatten(0, 1), images.shape[2:]).unflatten(0, maps.shape[:2])
        return masks, probability(logits[:, None], asked, rivals)
