"""Masks that a vision-language model makes while training goes on: `--masks teacher`.

Each picture is asked about when it is first drawn, and its mask is remembered; nothing is written.
Learning to Look leaves this to the future. `supervised.masks` makes a folder of masks beforehand,
which several runs can share, and which shows what they are worth.
"""

import torch

from rl_attn.errors import UserError
from rl_attn.supervised.data import DataSet
from rl_attn.supervised.labelling import prompts_of, teacher_of
from rl_attn.supervised.masks import MaskSettings
from rl_attn.supervised.methods import Method
from rl_attn.supervised.settings import TrainSettings
from rl_attn.teachers import Taught
from rl_attn.teachers.cache import MaskCache


def mask_maker(
    args: TrainSettings, method: Method, dataset: DataSet, device: torch.device
) -> MaskCache:
    """masks(images, labels) for the pictures to train on.

    UserError: a method that must see all masks first, a model that is not available.
    """
    if not method.masks_alone:
        raise UserError(
            f"--method {method.name} must see all masks before it begins: make them with python "
            "-m supervised.masks, and take --masks FOLDER"
        )
    chosen = args.mask_teacher
    asked = MaskSettings(
        data=args.data,
        teacher=chosen.method,
        model=chosen.model,
        weights=chosen.weights,
        input_size=chosen.size,
        mirror=chosen.mirror,
        spread=chosen.spread,
        refine=chosen.refine,
        batch_size=args.batch_size,
        foreground=chosen.words,
        background=chosen.background,
    )
    teacher = teacher_of(asked, prompts_of(asked, dataset), device)

    def annotated(images: torch.Tensor, labels: torch.Tensor) -> Taught:
        taught = teacher(images, labels)
        masks = (taught.masks * 255).round().byte()
        return Taught(method.annotations(masks, args.seed) / 255, taught.confidence)

    return MaskCache(annotated, sum(len(split) for split in dataset.splits.values()))
