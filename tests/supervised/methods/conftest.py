"""Twelve pictures a class in which a stripe tells the class as well as the object does."""

from collections.abc import Callable

import pytest
import torch

from rl_attn.run.cli import parse
from rl_attn.supervised.data import LOADERS, DataSet, Split
from rl_attn.supervised.loop import Trainer
from rl_attn.supervised.run import build
from rl_attn.supervised.settings import args_type

CLASSES = 3
#: As bright as each other: only the hue tells.
COLOURS = torch.tensor([[200, 100, 0], [0, 200, 100], [100, 0, 200]])
FLAGS = {"backbone": "decoy-cnn", "batch_size": 12, "optimizer": "adam", "epochs": 12}
FLAGS |= {"learning_rate": 0.002, "weight_decay": 0.0, "momentum": 0.0, "device": "cpu"}


def striped(number: int, seed: int, honest: bool) -> Split:
    """(number, 1, 20, 20): a 10x10 square of a texture, and a stripe of a shade at the top."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(number) % CLASSES
    told = labels if honest else (labels + 1) % CLASSES
    images = torch.randint(0, 20, (number, 1, 20, 20), generator=generator)
    masks = torch.zeros(number, 20, 20)
    places = torch.randint(5, 10, (number, 2), generator=generator)
    for i, (row, column) in enumerate(places.tolist()):
        square = (slice(row, row + 10), slice(column, column + 10))
        texture = torch.zeros(10, 10)
        texture[:: 1 + labels[i]] = 200
        images[i, 0][square] = texture.long()
        masks[i][square] = 255
        images[i, 0, :4] = 110 * told[i]
    return Split(images.byte(), labels, masks.byte())


def textures(split: Split) -> torch.Tensor:
    """(N, 1, H, W): the objects alone, without the stripe."""
    return split.images * (split.masks[:, None] > 0)


def coloured(split: Split, told: torch.Tensor) -> Split:
    """The textures in the colour of `told`."""
    images = textures(split).long() * COLOURS[told][:, :, None, None] // 200
    return Split(images.byte(), split.labels, split.masks)


@pytest.fixture(scope="session")
def striped_set() -> DataSet:
    """In the test the stripe lies."""
    splits = {"train": striped(36, 0, True), "validation": striped(18, 1, True)}
    splits["test"] = striped(24, 2, False)
    return DataSet("striped", ("a", "b", "c"), splits, "the square", (0.5,), (0.5,))


@pytest.fixture
def trainer_of(striped_set: DataSet, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Trainer]:
    """trainer_of("cdep", weight=1.0): a trainer at its start."""
    monkeypatch.setitem(LOADERS, "striped", lambda root: striped_set)

    def make(method: str, **flags: object) -> Trainer:
        argv = ["--method", method, "--data", "striped"]
        for name, value in {**FLAGS, **flags}.items():
            flag = f"--{name.replace('_', '-')}"
            argv += [flag] if value is True else [flag, str(value)]
        return build(parse(args_type(argv), argv, "train"), torch.device("cpu"))

    return make


@pytest.fixture
def coloured_trainer_of(
    striped_set: DataSet, trainer_of: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Trainer]:
    """As `trainer_of`, where colour gives the class away and in the test is another class's.

    The data set "textures" has the same without colour.
    """
    splits, plain = {}, {}
    for name, split in striped_set.splits.items():
        told = split.labels if name != "test" else (split.labels + 1) % CLASSES
        splits[name] = coloured(split, told)
        plain[name] = Split(textures(split), split.labels, split.masks)
    named = ("a", "b", "c")
    data = DataSet("coloured", named, splits, "the square", (0.2, 0.3, 0.4), (0.5, 0.25, 0.125))
    grey = DataSet("textures", named, plain, "the square", (0.5,), (0.5,))
    monkeypatch.setitem(LOADERS, "coloured", lambda root: data)
    monkeypatch.setitem(LOADERS, "textures", lambda root: grey)
    return lambda method, **flags: trainer_of(method, data="coloured", **flags)


@pytest.fixture
def trained(trainer_of: Callable[..., Trainer]) -> Callable[..., dict[str, float]]:
    """trained("cdep", weight=1.0): what the last epoch logged."""

    def run(method: str, **flags: object) -> dict[str, float]:
        trainer = trainer_of(method, **flags)
        for _ in range(trainer.args.epochs):
            assert trainer.run_epoch()
            logged = trainer.finish_epoch()
        return logged

    return run
