"""Train a classifier that looks where masks say, and measure where it looks.

    python -m supervised.train                       # offline: digits with a decoy, CAMAL, a minute
    python -m supervised.train --data decoy-mnist --method learning-to-look
    python -m supervised.train --method rrr --help   # the method's own flags are among them
    python -m supervised.train --folds 5             # a cross-validation, and a table of it
    python -m supervised.train --resume runs/decoy-mnist/...
    tensorboard --logdir runs

The run's folder holds config.yaml, metrics.csv (a row an epoch), TensorBoard events, checkpoints,
evaluation.json with every test split's measures, attention/*.png: where the network looked before
and after, and, for `supervised.compare`, the same and its spatial variance as numbers in
attention/*.npz; with --faithfulness also the deletion and insertion curves, faithfulness.csv.
"""

import time
from dataclasses import replace
from pathlib import Path

from rl_attn.errors import UserError
from rl_attn.run.cli import parse, run_command, words_of
from rl_attn.run.plugins import settled
from rl_attn.supervised.settings import NAMED_WEIGHTS, TrainSettings, args_type, validate


def prepare(argv: list[str]) -> tuple[TrainSettings, Path, bool]:
    """The run's settings, checked; its folder; and whether it goes on from there."""
    resume = [word for word in argv if word.split("=")[0] == "--resume"]
    if not resume:
        args = parse(args_type(argv), argv, "rl-attn train")
        validate(args)
        args = replace(args, imports=settled(args.imports), **from_anywhere(args))
        name = f"{args.method}-{Path(args.backbone).name.replace(':', '-')}-s{args.seed}"
        name += time.strftime("-%Y%m%d-%H%M%S")
        return args, Path(args.run_dir or Path("runs") / args.data / name), False
    others = [word for word in argv if word.startswith("--") and word not in resume]
    if others:
        raise UserError(f"--resume takes everything from the run: leave out {' '.join(others)}")
    path = Path(parse(TrainSettings, argv, "rl-attn train").resume)
    from rl_attn.run.folder import load_args  # torch

    args = load_args(path, args_type)
    validate(args)
    return args, path, True


def from_anywhere(args: TrainSettings) -> dict[str, str]:
    """The files that are named, with their full paths: a run is resumed and asked elsewhere."""
    module, colon, function = args.backbone.rpartition(":")
    found = {}
    if module.endswith(".py"):
        found["backbone"] = f"{Path(module).absolute()}{colon}{function}"
    if args.weights not in NAMED_WEIGHTS:
        found["weights"] = str(Path(args.weights).absolute())
    return found


def main(argv: list[str]) -> int:
    args, path, resumed = prepare(argv)
    if resumed and (path / "evaluation.json").exists():
        print(f"{path} is finished")
        return 0
    if not resumed and args.fold is None and words_of(argv, "--folds"):
        from rl_attn.supervised.cross_validation import cross_validate

        return cross_validate(args, path)
    from rl_attn.supervised.run import start

    return start(args, path, resumed)


if __name__ == "__main__":
    run_command(main)
