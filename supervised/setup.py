"""From settings to everything that training needs, with every check that can be made before it."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from sklearn.model_selection import train_test_split
from torch import Tensor

from rl_attn.attention.cells import few
from rl_attn.errors import UserError, choose, one_line
from rl_attn.run.cli import read_options
from rl_attn.run.device import pick_precision
from rl_attn.supervised import backbones
from rl_attn.supervised.batches import Batches, View, resized, stored_side
from rl_attn.supervised.data import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    DataSet,
    Split,
    fold,
    load,
    options_of,
)
from rl_attn.supervised.data.annotations import MaskOptions, MaskWords
from rl_attn.supervised.data.deal import strata_of
from rl_attn.supervised.data.found import found
from rl_attn.supervised.data.replaced import SOFT, with_masks
from rl_attn.supervised.data.resize import resize_masks
from rl_attn.supervised.data.storage import moved
from rl_attn.supervised.ensemble import Ensemble
from rl_attn.supervised.evaluation import attention_of
from rl_attn.supervised.inputs import Inputs
from rl_attn.supervised.methods import Method
from rl_attn.supervised.models import check_answer
from rl_attn.supervised.network import Network
from rl_attn.supervised.settings import (
    NAMED_WEIGHTS,
    OF_ATTENTION,
    OF_NUMBERS,
    OWN,
    SELECTABLE,
    TEACHER,
    TrainSettings,
    seeds_of,
)
from rl_attn.supervised.tasks import TASKS, Classes, Number, task_of
from rl_attn.supervised.trainable import check
from rl_attn.supervised.weights import load_weights

#: The data set whose pictures are made at the side asked for, and so resized once at most.
RENDERED = "monsters"
#: Test images below which a user of a folder is told of cross-validation.
FEW_TESTS = 100


class Data(NamedTuple):
    """The data of a run, on its device."""

    train: Batches  # with the masks that the method trains on
    validation: Batches  # the split that selects, with the same kind of masks
    splits: dict[str, Batches]  # every split with the data set's own masks, for the metrics
    channels: int
    size: tuple[int, int]  # of what the network sees
    classes: tuple[str, ...]

    @property
    def task(self) -> Classes:
        return self.train.task


class Read(NamedTuple):
    """The same pictures twice: they differ in their masks where --masks gives others."""

    own: DataSet  # with the data set's masks, for the metrics
    taught: DataSet  # with the masks to train on


def read_data(args: TrainSettings) -> Read:
    """The data set, or its fold; UserError for what is not there or does not fit."""
    own = load(args.data, Path(args.data_root), **placed(args))
    print(found(own), flush=True)
    taught = own
    if args.masks not in (None, TEACHER):  # before the folds deal the pictures again
        required = ("train", args.select_on) if args.fold is None else own.pool
        folder = Path(args.masks.replace("{data}", args.data))
        taught = with_masks(own, folder, required, mask_options(args))
    read = Read(own, taught)
    if args.fold is not None:
        dealing = (args.fold, args.folds, args.fold_seed, args.fold_validation)
        read = Read(*(fold(dataset, *dealing) for dataset in read))
    tests = len(read.own.splits.get("test", ()))
    if args.fold is None and args.data in OWN and 0 < tests < FEW_TESTS:
        print(
            f"note: {tests} test images are few, each is {1 / tests:.1%} of the result: run "
            "--folds 5, which tests on every image once",
            flush=True,
        )
    choose("--select-on split", args.select_on, list(read.own.splits))
    return Read(*(fewer(dataset, args.train_pictures, args.seed) for dataset in read))


def mask_options(args: TrainSettings) -> MaskOptions:
    """How the files of --masks are meant."""
    given = read_options(args.mask_options, "--mask-options")
    for name in given:
        choose("option of --mask-options", name, list(MaskWords.__annotations__))
    return MaskOptions.of(**given) if given else SOFT


def placed(args: TrainSettings) -> dict[str, str]:
    """--data-options; of a set that reads image files also --size and --fit, so that each image is
    resized once, from its file. UserError: two sizes, or a crop of no size."""
    given, known = read_options(args.data_options, "--data-options"), options_of(args.data)
    if "fit" not in known:
        twice = args.data != RENDERED and given.get("size", str(args.size)) != str(args.size)
        if args.size and twice:
            raise UserError(
                f"--data-options size={given['size']} and --size {args.size} would resize each "
                "picture twice: leave one of them out"
            )
        if args.fit != "letterbox":
            raise UserError(f"--fit {args.fit}: {args.data} has square pictures, leave it out")
        return given
    if args.crop != "none" and not args.size:
        raise UserError(f"--crop {args.crop} cuts --size out of larger pictures: say which --size")
    if args.size:
        side = str(stored_side(args.size, args.crop))
        if given.setdefault("size", side) != side:
            raise UserError(
                f"--data-options size={given['size']} and --size {args.size}"
                f"{'' if args.crop == 'none' else f' --crop {args.crop}'} (read at {side}) are two "
                "sizes: leave the option out"
            )
    return {"fit": args.fit, **given}


def fewer(dataset: DataSet, number: int, seed: int) -> DataSet:
    """The set with `number` of its training pictures (0: all), each class in the same share."""
    train = dataset.splits["train"]
    if number in (0, len(train)):
        return dataset
    strata = strata_of(train)
    most, classes = len(train), max(len(dataset.classes), int(strata.max()) + 1)
    if not classes <= number <= most - classes:
        raise UserError(
            f"--train-pictures is {number}: choose from {classes} to {most - classes} of the "
            f"{most} training pictures of {dataset.name}, or 0 for all"
        )
    chosen, _ = train_test_split(
        torch.arange(most).numpy(), train_size=number, random_state=seed, stratify=strata
    )
    chosen = torch.from_numpy(chosen).sort().values
    return replace(dataset, splits={**dataset.splits, "train": train[chosen]})


def prepare_data(args: TrainSettings, method: Method, read: Read, device: torch.device) -> Data:
    """Everything on the device, at the size asked for."""
    dataset = read.own
    task = task_of(dataset.splits["train"], args.target_loss)
    check_task(args, method, task)
    sized, crop = resized(dataset, args.size, args.crop)
    view = make_view(args, sized, crop, device)
    splits = {n: Batches(s.to(device), view, task=task) for n, s in sized.splits.items()}
    trained, maker = {}, None
    if args.masks == TEACHER:
        from rl_attn.supervised.on_the_fly import (
            mask_maker,  # open_clip takes two seconds to import
        )

        maker = mask_maker(args, method, dataset, device)
    for name in ("train", args.select_on):
        masks = None
        if maker is None:
            masks = training_masks(args, method, name, read.taught.splits[name])
        known = None
        if masks is not None:
            known = read.taught.splits[name].known
            if masks.shape[1:] != sized.size:
                masks, known = resize_masks(masks, known, sized.size[0])
            masks = moved(masks, device)
            known = None if known is None else moved(known, device)
        own = splits[name].split
        split = replace(own, masks=masks, known=known)
        trained[name] = Batches(split, view, maker, task)
    train, validation = trained["train"], trained[args.select_on]
    check_select(args, splits[args.select_on], len(sized.classes))
    if args.class_weights == "balanced":
        counts = train.split.labels.bincount(minlength=len(sized.classes))
        weights = len(train) / (len(sized.classes) * counts.clamp_min(1).float())
        train.class_weights = validation.class_weights = weights
    return Data(train, validation, splits, view.channels, crop or sized.size, sized.classes)


#: What is learned, as messages say it.
SAID = {
    "classes": "have one class each",
    "labels": "may have several labels",
    "number": "have a number",
}


def check_task(args: TrainSettings, method: Method, task: Classes) -> None:
    """UserError: settings that are of another task than the set's."""
    able = {
        f"--method {method.name}": method.tasks,
        "--class-weights balanced": ("classes",) if args.class_weights == "balanced" else TASKS,
        "--sampling balanced": TASKS[:2] if args.sampling == "balanced" else TASKS,
        f"--faithfulness {args.faithfulness}": TASKS[:2] if args.faithfulness else TASKS,
        "--falsifier": TASKS[:2] if args.falsifier else TASKS,
        "--target-loss l1": ("number",) if args.target_loss == "l1" else TASKS,
    }
    for what, tasks in able.items():
        if task.name not in tasks:
            fits = " or ".join(SAID[name] for name in tasks)
            remedy = "take camal or vanilla" if what.startswith("--method") else "leave it out"
            raise UserError(
                f"{what} is for pictures that {fits}, and these {SAID[task.name]}: {remedy}"
            )


def check_select(args: TrainSettings, batches: Batches, classes: int) -> None:
    """UserError: a measure that the split does not have, even where all predictions are right."""
    split, task = batches.split, batches.task
    if args.select not in SELECTABLE:
        return
    measured = {*task.measures(task.perfect(split, classes), split)}
    if split.masks is not None and split.masks.any():
        measured |= {*OF_ATTENTION}
    if args.select not in measured:
        raise UserError(
            f"--select {args.select}: {args.select_on} of {args.data} "
            f"{_lacking(args.select, split)}: take another measure or another --select-on"
        )


def _lacking(measure: str, split: Split) -> str:
    """Why a split does not have a measure."""
    if measure in OF_ATTENTION:
        return "has no masks"
    if split.values is not None:
        return "has one number, the same in all" if measure in OF_NUMBERS else "has numbers"
    reasons = {
        **dict.fromkeys(OF_NUMBERS, "has no numbers"),
        "worst_group_accuracy": "has no groups",
        "exact_match": "has one class a picture, see accuracy",
    }
    several = split.several is not None
    few = "has no label that only some pictures have" if several else "has a single class"
    return reasons.get(measure, few)


def training_masks(args: TrainSettings, method: Method, name: str, split: Split) -> Tensor | None:
    """uint8 (N, H, W): the masks of a split, as the method annotates them."""
    masks = split.masks
    if masks is None:
        if method.needs_masks:
            raise UserError(
                f"--method {method.name} needs masks and {args.data} has none on its {name} "
                "pictures: take vanilla, another data set, or --masks FOLDER"
            )
        return None
    if method.needs_masks and not masks.any():
        raise UserError(f"every mask of the {name} pictures of {args.data} is empty")
    return method.annotations(masks, args.seed)


def make_view(
    args: TrainSettings, dataset: DataSet, crop: tuple[int, int] | None, device: torch.device
) -> View:
    channels = dataset.channels if args.backbone in backbones.SMALL else 3  # of others
    mean, std = dataset.mean, dataset.std
    if args.weights in ("imagenet", "auto"):
        mean, std = IMAGENET_MEAN, IMAGENET_STD
    return View(crop, channels, torch.tensor(mean, device=device), torch.tensor(std, device=device))


def inputs_of(args: TrainSettings, data: Data) -> Inputs:
    """How any image comes to be what the network takes."""
    images, view, task = data.train.split.images, data.train.view, data.train.task
    return Inputs(
        classes=data.classes,
        stored=(images.shape[2], images.shape[3]),
        crop=view.crop,
        channels=view.channels,
        grey=images.shape[1] == 1,
        mean=tuple(view.mean.tolist()),
        std=tuple(view.std.tolist()),
        fit=args.fit,
        several=data.train.split.several is not None,
        number=(task.centre, task.spread) if isinstance(task, Number) else None,
    )


def make_network(
    args: TrainSettings, method: Method, data: Data | Inputs, device: torch.device
) -> Network:
    """The network and its tap, fresh from the seed."""
    models = [backbones.seeded(seed, lambda: make_model(args, data)) for seed in seeds_of(args)]
    if args.weights not in NAMED_WEIGHTS:
        said = [load_weights(model, Path(args.weights)) for model in models]
        print(said[0], flush=True)
    needed = (data.task.outputs(data.classes), data.task.asked(data.classes))
    check_answer(args.backbone, models[0], (data.channels, *data.size), *needed)
    layer = backbones.tap_layer(models[0], args.layer, data.size)
    if layer is None and method.needs_features():
        raise UserError(
            f"--method {method.name} needs feature maps and {args.backbone} has none: choose "
            "another backbone, or name a layer with --layer"
        )
    small = args.backbone in backbones.SMALL
    precision = "fp32" if small and args.precision == "auto" else args.precision
    layout = backbones.layout_of(args.backbone, device)
    models = [model.to(device, memory_format=layout) for model in models]
    precision = pick_precision(precision, device)
    if len(models) > 1:
        return Ensemble(models, layer, precision, args.attention, data.task)
    per_sample = args.batch_maps == "per-sample"
    return Network(models[0], layer, precision, args.attention, per_sample, data.task)


def make_model(args: TrainSettings, data: Data | Inputs) -> torch.nn.Module:
    """A fresh backbone, with the weights that belong to its name if they are asked for."""
    shape = (data.channels, len(data.classes), data.size)
    changes = (args.batch_norm, args.stem)
    if args.weights != "auto":
        return backbones.build(args.backbone, *shape, args.weights == "imagenet", *changes)
    try:
        return backbones.build(args.backbone, *shape, True, *changes)
    except UserError as error:
        model = backbones.build(args.backbone, *shape, False, *changes)
        print(f"note: training starts from random weights: {error}", flush=True)
        return model


def fit_method(
    args: TrainSettings, method: Method, network: Network, data: Data
) -> torch.nn.Module:
    """Check the tap, give batches their targets; returns the method's own parameters."""
    index = torch.arange(min(args.batch_size, len(data.train), 16))
    batch = data.train.take(index.repeat(network.copies))
    grid = cells = None
    if network.layer is not None:
        try:
            if method.needs_features() and network.copies == 1:
                check(network, batch, args.batch_maps)
            attention = attention_of(network, batch)[1]
            grid, cells = attention.grid, attention.cells
            if coarse := few(grid, tuple(batch.pictures.shape[2:]), network.layer):
                print(f"note: {coarse}", flush=True)
        except UserError:
            raise
        except (RuntimeError, AssertionError, ValueError) as error:
            raise UserError(
                f"{args.backbone} does not take pictures {tuple(batch.pictures.shape[1:])} with "
                f"its tap at {network.layer!r}: {one_line(error)}"
            ) from None
    if type(method).target is not Method.target:
        still = args.crop == "none" and not args.flip
        for batches in (data.train, data.validation):
            batches.give_target(
                lambda masks, known: method.target(masks, grid, cells, known), still
            )
    extra = method.module(data.size, grid)
    extra = torch.nn.Module() if extra is None else extra.to(batch.pictures.device)
    method.data_root = Path(args.data_root)
    method.prepare(network, data.train)
    return extra
