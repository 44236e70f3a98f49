"""RRR on colour: what it asks for, and that it finds the shape where colour lies."""

import pytest
import torch

from rl_attn.attention import input_gradient, rrr_score
from rl_attn.cli import UserError
from supervised.data import LOADERS, DataSet, Split
from supervised.evaluation import evaluate

#: As bright as each other: only the hue tells.
COLOURS = torch.tensor([[200, 100, 0], [0, 200, 100], [100, 0, 200]])


def coloured(split: Split, told: torch.Tensor) -> Split:
    """The textures alone, without the stripe, in the colour of `told`."""
    texture = (split.images * (split.masks[:, None] > 0)).long()  # (N, 1, H, W)
    images = texture * COLOURS[told][:, :, None, None] // 200
    return Split(images.byte(), split.labels, split.masks)


@pytest.fixture
def coloured_trainer_of(striped_set, trainer_of, monkeypatch):
    """Colour gives the class away, and in the test it is that of another class."""
    splits = {
        name: coloured(split, split.labels if name != "test" else (split.labels + 1) % 3)
        for name, split in striped_set.splits.items()
    }
    statistics = (0.2, 0.3, 0.4), (0.5, 0.25, 0.125)
    data = DataSet("coloured", ("a", "b", "c"), splits, "the square", *statistics)
    monkeypatch.setitem(LOADERS, "coloured", lambda root: data)
    return lambda **flags: trainer_of("rrr-colour", data="coloured", **flags)


def test_where_colour_lies_the_shape_is_found(coloured_trainer_of):
    accuracies = []
    for weight in (0, 1):
        trainer = coloured_trainer_of(weight=weight, epochs=20)
        for _ in range(20):
            trainer.run_epoch()
            logs = trainer.finish_epoch()
        assert logs["validation/accuracy"] > 0.9
        accuracies.append(evaluate(trainer.network, trainer.data.splits["test"])[0]["accuracy"])
    assert accuracies[0] < 0.2 and accuracies[1] > 0.8


def test_penalty_is_that_of_pictures_in_one_unit(coloured_trainer_of):
    """Sample by sample and pixel by pixel, with deviations that differ between channels."""
    trainer = coloured_trainer_of(backbone="rrr-mlp")
    network, batch = trainer.network, trainer.train.take(torch.arange(2))
    _, logs = trainer.method.loss(network, batch, 0)
    std = torch.tensor([0.5, 0.25, 0.125])
    output = network.by_input(batch.pictures)
    gradient = input_gradient(rrr_score(output.logits), batch.pictures).detach()
    expected = torch.zeros(2)
    for b in range(2):
        for pixel in gradient[b].flatten(1).T:  # (3,), by the normalised picture
            r, g, b_ = (pixel / std).tolist()
            grey = (r + g + b_) / 3
            expected[b] += (r - grey) ** 2 + (g - grey) ** 2 + (b_ - grey) ** 2
    torch.testing.assert_close(logs["attention/loss"].detach(), expected, rtol=1e-4, atol=1e-6)


def test_grey_pictures_are_refused(trainer_of):
    with pytest.raises(UserError, match="needs pictures in colour"):
        trainer_of("rrr-colour")
