"""Trainers at toy size, for several tests."""

import torch

from rl_attn.run.cli import as_flags, parse
from rl_attn.supervised.loop import Trainer
from rl_attn.supervised.run import build
from rl_attn.supervised.settings import args_type

#: What makes each method converge on 48 pictures in a second.
FLAGS = {"size": 28, "backbone": "lenet", "batch_size": 16, "optimizer": "adam", "epochs": 20}
FLAGS |= {"learning_rate": 0.005, "weight_decay": 0.0, "momentum": 0.0, "schedule": "none"}


def flags_of(method: str, **flags: object) -> list[str]:
    argv = ["--method", method, "--data", "toy", "--device", "cpu"]
    return [*argv, *as_flags({**FLAGS, **flags})]


def trainer_of(method: str, **flags: object) -> Trainer:
    argv = flags_of(method, **flags)
    return build(parse(args_type(argv), argv, "train"), torch.device("cpu"))


def run(trainer: Trainer) -> Trainer:
    """To the end, without what is measured in between."""
    for _ in range(trainer.args.epochs):
        assert trainer.run_epoch()
        trainer.epoch, trainer.step = trainer.epoch + 1, 0
    return trainer
