"""A teacher: pictures and words in, masks out.

    teacher = Teacher(load_clip("ViT-B-16", "openai"), Prompts(("dog", "cat")))
    taught = teacher(images, labels)          # masks (B, H, W) in [0, 1], confidence (B,)

Three ways to read a CLIP: `clip-es` (Grad-CAM spread by attention; best where it is known what a
picture shows), `naclip` (one forward, no gradient), `cam` (plain Grad-CAM, any model).
"""

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from rl_attn.attention import upsample
from rl_attn.cli import choose
from rl_attn.teachers.clip import Clip
from rl_attn.teachers.clip_es import clip_es
from rl_attn.teachers.grad_cam import clip_grad_cam, tapped
from rl_attn.teachers.naclip import naclip, probability
from rl_attn.teachers.pamr import pamr
from rl_attn.teachers.prompts import Prompts
from rl_attn.teachers.vit import transformer_of

Method = Literal["clip-es", "naclip", "cam"]


class Taught(NamedTuple):
    masks: Tensor  # (B, H, W) or (B, classes, H, W), float in [0, 1]
    confidence: Tensor  # (B,) or (B, classes): the words' share of the softmax, picture as a whole


class Teacher:
    """One CLIP, one set of words, one method; nothing is kept between calls."""

    def __init__(
        self,
        clip: Clip,
        prompts: Prompts,
        method: Method = "clip-es",
        refine: bool = False,
        batch_size: int = 32,
    ):
        """`refine` draws masks to the picture's edges (PAMR); `batch_size` bounds the memory.

        UserError: a method that this model cannot serve.
        """
        choose("teacher", method, get_args(Method))
        if method != "cam":
            transformer_of(clip, method)
        else:
            tapped(clip)
        self.clip, self.prompts, self.method = clip, prompts, method
        self.refine, self.batch_size = refine, batch_size
        texts = clip.texts(prompts)  # (T, P, D)
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
        clip = self.clip
        asked, rivals = asked.to(clip.device), rivals.to(clip.device)
        pictures = clip.prepare(images)
        if self.method == "cam":
            maps, logits = clip_grad_cam(clip, pictures, self.texts, asked)
        else:
            read = clip_es if self.method == "clip-es" else naclip
            maps, logits = read(clip, pictures, self.texts, asked, rivals)
        masks = upsample(maps.flatten(0, 1), images.shape[2:]).unflatten(0, maps.shape[:2])
        if self.refine:
            masks = pamr(images.to(clip.device), masks)
        return Taught(masks.clamp(0, 1), probability(logits[:, None], asked, rivals))
