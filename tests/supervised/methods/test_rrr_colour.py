"""RRR on colour: what it asks for, and that it finds the shape where colour lies."""

import pytest
import torch

from rl_attn.attention import input_gradient, rrr_score
from rl_attn.errors import UserError
from rl_attn.supervised.evaluation import evaluate


def test_where_colour_lies_the_shape_is_found(coloured_trainer_of):
    accuracies = []
    for weight in (0, 1):
        trainer = coloured_trainer_of("rrr-colour", weight=weight, epochs=20)
        for _ in range(20):
            trainer.run_epoch()
            logs = trainer.finish_epoch()
        assert logs["validation/accuracy"] > 0.9
        accuracies.append(evaluate(trainer.network, trainer.data.splits["test"])[0]["accuracy"])
    assert accuracies[0] < 0.2 and accuracies[1] > 0.8


def test_penalty_is_that_of_pictures_in_one_unit(coloured_trainer_of):
    """Sample by sample and pixel by pixel, with deviations that differ between channels."""
    trainer = coloured_trainer_of("rrr-colour", backbone="rrr-mlp")
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
