"""Data sets for classifiers whose attention is supervised: picture, label, and mask.

    from rl_attn.supervised.data import load, fold
    data = load("decoy-mnist", base="digits")
    data.splits["train"].images      # uint8 (N, C, H, W)
    data.splits["train"].masks       # uint8 (N, H, W), 255 where attention belongs
    third = fold(data, k=2, folds=10, seed=0)

>>> "decoy-mnist" in LOADERS
True
>>> IMAGENET_MEAN, IMAGENET_STD  # by which pictures are normalised for networks of ImageNet
((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""

from typing import TYPE_CHECKING

from rl_attn.lazy import names_of

if TYPE_CHECKING:
    from rl_attn.supervised.data.dataset import IMAGENET_MEAN, IMAGENET_STD, DataSet, Split
    from rl_attn.supervised.data.folds import fold
    from rl_attn.supervised.data.registry import LOADERS, load, options_of

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "LOADERS",
    "DataSet",
    "Split",
    "fold",
    "load",
    "options_of",
]

__getattr__ = names_of(__name__, __file__)
