"""Every setting of a supervised run: those of training here, those of a method in its own file.

The command line is both together: `args_type` builds it once the method and the data set are known,
whose paper then gives the defaults (`Method.recipes`).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, get_type_hints

import tyro
from annotated_types import Interval

from rl_attn.errors import UserError, choose
from rl_attn.map_names import MAPS
from rl_attn.run.help import OneOf
from rl_attn.run.plugins import config_values, load_imports, said
from rl_attn.run.settings import NotNegative, PathText, Positive, Seed, Side, Threads, check
from rl_attn.run.teacher import TeacherSettings
from rl_attn.supervised.data.fit import Crop, Fit
from rl_attn.supervised.data.registry import LOADERS
from rl_attn.supervised.methods import Method, method_class

#: Backbones for small pictures, and torchvision's names of CAMAL's six (Hundal et al. 2026,
#: Appendix C): `backbones.py`.
SMALL = ("lenet", "color-cnn", "decoy-cnn", "rrr-mlp")
TORCHVISION = ("resnet18", "convnext_tiny", "efficientnet_b0", "vit_b_16", "swin_v2_t", "maxvit_t")

#: Values of --weights that are no files.
NAMED_WEIGHTS = ("none", "imagenet", "auto")
OTHERS = ("torchvision:NAME", "timm:NAME", "hf:NAME", "module:function")

#: Of pictures of one's own: what one would begin with.
OWN: dict[str, dict[str, Any]] = {
    "masked-folder": {"backbone": "resnet18", "weights": "auto"},
}

BatchNorm = Literal["keep", "group", "frozen"]
Stem = Literal["standard", "small"]

#: Measures of numbers, and of attention, by which a network may be selected.
OF_NUMBERS = {"mae": -1, "rmse": -1, "r2": 1, "pearson": 1}
OF_ATTENTION = {"iou": 1, "energy_inside": 1, "pointing_game": 1}

#: What --select takes of the validation split's measures: 1 where more is better, else -1.
SELECTABLE = {
    **dict.fromkeys(("accuracy", "balanced_accuracy", "worst_group_accuracy"), 1),
    **dict.fromkeys(("precision", "recall", "sensitivity", "specificity", "f1"), 1),
    **dict.fromkeys(("auroc", "average_precision"), 1),
    "exact_match": 1,
    "calibration_error": -1,
    **OF_NUMBERS,
    **OF_ATTENTION,
}

#: The value of --masks for which a vision-language model makes them while training goes on.
TEACHER = "teacher"


@dataclass
class ImageTeacher(TeacherSettings):
    """The vision-language model of `--masks teacher`."""

    size: tuple[Side, ...] = ()
    """side of the model's input (default: its own); several are averaged"""
    mirror: bool = False
    """average over each image and its mirror image"""
    spread: bool = True
    """of clip-es: spread its Grad-CAM along the blocks' attention"""
    refine: bool = False
    """draw the masks to the images' edges (PAMR)"""
    background: tuple[str, ...] = ()
    """words for what else there is (default: as in supervised.masks)"""


@dataclass
class TrainSettings:
    """Train a classifier that looks where the masks say."""

    config: PathText | None = None
    """YAML file with values for these flags; flags override it"""
    resume: PathText | None = None
    """folder of an interrupted run to continue; everything else is taken from it"""
    run_dir: PathText | None = None
    """folder of this run (default: runs/<data>/<method>-<backbone>-s<seed>-<time>)"""
    imports: Annotated[tuple[str, ...], tyro.conf.arg(name="import", aliases=["--imports"])] = ()
    """modules or files MODULE.py that register methods, data sets, annotation formats of yours"""

    data: Annotated[str, OneOf("rl_attn.supervised.data:LOADERS")] = "decoy-mnist"
    """the data set by name"""
    data_root: PathText = "data"
    """folder with the data sets that you downloaded"""
    data_options: tuple[str, ...] = ()
    """of the data set: key=value ..."""
    masks: PathText | None = None
    """folder of masks to train with in place of the data set's own: <split>.npy, uint8
    (N, H, W), for train and for --select-on; {data} stands for the data set's name; the metrics
    still use the data set's own; `teacher`: a vision-language model (--mask-teacher.model) is asked
    about each picture when it is first drawn"""
    mask_options: tuple[str, ...] = ()
    """of the files of --masks: key=value ..., as masked-folder's masks have them, such as
    mask_kind=trimap (grey is unknown); else levels are strengths"""
    mask_teacher: ImageTeacher = field(default_factory=ImageTeacher)
    train_pictures: NotNegative[int] = 0
    """how many of the training pictures to learn from, the same share of each class, drawn by the
    seed (0: all); VAPL's setting of few annotations"""
    fold: NotNegative[int] | None = None
    """which fold of a cross-validation, from 0"""
    folds: Annotated[int, Interval(ge=2, le=10_000)] = 10
    """number of folds; on the command line without --fold: all of them are run, and a table of
    means and intervals is written"""
    fold_seed: Seed = 0
    """random seed of the division into folds"""
    fold_validation: bool = True
    """keep one fold for validation; without it, that fold is trained on as well, for runs that
    select nothing by validation (10 folds: 90/10)"""
    size: Annotated[int, Interval(ge=0, le=8192)] = 0
    """side of the pictures in pixels (0: the data's own)"""
    fit: Fit = "letterbox"
    """how pictures that are not square are made square: padded with black, their middle cropped, or
    stretched"""
    crop: Crop = "none"
    """cut that size out of pictures 8/7 as large (CAMAL: 224 of 256): in the centre, or at random
    in training"""
    flip: bool = False
    """mirror training pictures at random"""

    method: Annotated[str, OneOf("rl_attn.supervised.methods:METHODS")] = "camal"
    """how attention is supervised"""
    backbone: str = "decoy-cnn"
    """lenet, color-cnn, decoy-cnn, rrr-mlp; resnet18, convnext_tiny, efficientnet_b0, vit_b_16,
    swin_v2_t, maxvit_t; torchvision:NAME; timm:NAME; hf:NAME of transformers; or your own, as
    module:function or file.py:function, called with channels, classes, size"""
    layer: str = ""
    """layer whose feature maps the attention is made of (empty: the backbone's standard layer)"""
    batch_norm: BatchNorm = "keep"
    """of a backbone with BatchNorm: kept; GroupNorm in its place; or frozen, its running statistics
    used in training and left as they are"""
    stem: Stem = "standard"
    """of a ResNet: its own, or a 3x3 convolution without stride and pool, as is usual for images
    below some 100 pixels, which leaves the last layer a grid"""
    batch_maps: Literal["refuse", "per-sample", "mixed"] = "refuse"
    """where BatchNorm above the layer mixes the samples of a batch, whose maps are then not their
    own: refuse, take each sample's own at the price of a backward pass each, or the mixture"""
    attention: str = "grad-cam"
    """what map is trained and measured: grad-cam (the papers'), grad-cam-plus-plus, layer-cam,
    hires-cam, diff-grad-cam, le-grad (of transformers); or of pixels, which costs forwards of
    their own: input-gradient, input-x-gradient, guided-backpropagation, integrated-gradients,
    expected-gradients, smooth-grad; methods whose papers name a map keep that in training"""
    weights: PathText = "none"
    """what the backbone starts from: none, imagenet (of timm and hf: the weights that belong to the
    name), auto (imagenet where they can be had; masked-folder's default), or a file of weights,
    .safetensors or torch's"""

    target_loss: Literal["mse", "l1"] = "mse"
    """where a number is learned (masked-folder's target=COLUMN): squared or absolute error, in
    standard deviations of the training pictures' numbers"""
    class_weights: Literal["none", "balanced"] = "none"
    """weights of pictures in the classes' loss: none, or N / (classes * pictures of the class) of
    the N training pictures, so that each class counts alike"""
    sampling: Literal["shuffled", "balanced"] = "shuffled"
    """how an epoch draws its pictures: each once, or with replacement, each class as often"""
    epochs: Positive[int] = 30
    """passes over the training pictures"""
    batch_size: Annotated[int, Interval(ge=1, le=2**20)] = 32
    """pictures a step"""
    optimizer: Literal["sgd", "adam", "adamw"] = "adamw"
    """the optimiser, with torch's defaults for all else"""
    learning_rate: Positive[float] = 1e-3
    """learning rate at the start"""
    weight_decay: NotNegative[float] = 0.01
    """weight decay of the optimiser"""
    momentum: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    """momentum of sgd"""
    schedule: Literal["none", "step", "cosine"] = "none"
    """schedule of the learning rate, epoch by epoch"""
    step_epochs: Positive[int] = 7
    """epochs between steps of the step schedule"""
    step_factor: Positive[float] = 0.1
    """factor of each step of the step schedule"""
    select: str = "method"
    """which epoch's network is kept: as the method's paper has it (method), the last, or the best
    by a measure of the validation split: accuracy, balanced_accuracy, worst_group_accuracy,
    precision, recall, sensitivity, specificity, f1, auroc, average_precision, calibration_error,
    exact_match (of several labels), mae, rmse, r2, pearson (of numbers), iou, energy_inside,
    pointing_game"""
    select_on: str = "validation"
    """the split that --select measures on"""
    select_every: NotNegative[int] = 0
    """with --select accuracy: also evaluate every so many steps, and keep the best network (0: only
    at the end of an epoch; Concept Distillation's code takes 1)"""

    seed: Seed = 1
    """random seed of the whole run"""
    ensemble: Annotated[int, Interval(ge=1, le=1024)] = 1
    """how many runs to train as one batched model, with this seed and the next ones (small
    backbones only); results are means over them"""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N"""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 for large backbones where the hardware is fast at it"""
    threads: Threads = 0
    """CPU threads of torch (0: its own choice)"""
    checkpoint_interval: NotNegative[int] = 300
    """seconds between checkpoints; one is always written at the end"""
    keep_checkpoints: NotNegative[int] = 1
    """how many of the last checkpoints stay while a run goes on; one that is finished keeps its
    best network alone (0: all stay)"""
    picture_interval: NotNegative[int] = 10
    """epochs between pictures of attention in TensorBoard (0: only the first and the last)"""
    faithfulness: NotNegative[int] = 0
    """test pictures of each class whose deletion and insertion curves are measured at the end
    (CAMAL: 1)"""
    falsifier: bool = False
    """measure at the end by how much the confidence in the true class falls when the test masks'
    pixels turn black: confidence_fall"""


def args_type(argv: Sequence[str]) -> type[TrainSettings]:
    """The command line for the method, data set and backbone that `argv` or its --config names."""
    load_imports(argv)
    config = config_values(argv)
    data = said(argv, config, "data", TrainSettings.data)
    LOADERS.check(data)
    own = OWN.get(data, {})
    backbone = said(argv, config, "backbone", own.get("backbone", TrainSettings.backbone))
    method = said(argv, config, "method", TrainSettings.method)
    return with_method(method_class(method), data, backbone, own)


def rate_of(backbone: str) -> float:
    """The learning rate of every method whose paper has none (Hundal et al. 2026, Table 7).

    >>> rate_of("resnet18"), rate_of("torchvision:vit_b_16")
    (0.001, 0.0001)
    """
    transformers = ("vit_b_16", "swin_v2_t", "maxvit_t")
    return 1e-4 if backbone.removeprefix("torchvision:") in transformers else 1e-3


def with_method(
    method: type[Method],
    data: str,
    backbone: str = TrainSettings.backbone,
    own: Mapping[str, Any] = MappingProxyType({}),
) -> type[TrainSettings]:
    """TrainSettings and the method's fields in one dataclass, with the paper's values as defaults,
    and those of `own` where the paper says nothing.

    It inherits from both, since the help of a flag is read from the source of its class.
    """
    parts = [method.recipes.get(name, {}) for name in dict.fromkeys(("", data, backbone))]
    recipe = {name: value for part in parts for name, value in part.items()}
    rate = {"learning_rate": rate_of(backbone)}
    defaults = {"method": method.name, "data": data, **rate, **own, **recipe}
    kinds = {
        name: hint
        for kind in (TrainSettings, method)
        for name, hint in get_type_hints(kind, include_extras=True).items()
    }
    unknown = set(defaults) - set(kinds)
    if unknown:
        raise TypeError(f"recipe of {method.name} sets unknown fields {sorted(unknown)}")
    changed = [(name, kinds[name], dataclasses.field(default=v)) for name, v in defaults.items()]
    made = dataclasses.make_dataclass("TrainingArgs", changed, bases=(TrainSettings, method))
    made.__doc__ = f"{method.__doc__.strip().splitlines()[0]} ({method.name})"
    return made


def method_of(args: TrainSettings) -> Method:
    """The method with the hyper-parameters of `args`."""
    kind = method_class(args.method)
    return kind(**{field.name: getattr(args, field.name) for field in dataclasses.fields(kind)})


def validate(args: TrainSettings) -> None:
    """Refuse what cannot work, before data are loaded."""
    check(args)
    MAPS.check_trained(args.attention)
    choose("--select", args.select, ["method", "last", *SELECTABLE])
    if ":" not in args.backbone:
        choose("backbone", args.backbone, [*SMALL, *TORCHVISION, *OTHERS])
    if args.weights not in NAMED_WEIGHTS and not Path(args.weights).is_file():
        raise UserError(
            f"--weights {args.weights} is not a file: name one, or take none, auto or imagenet"
        )
    if args.select_every and args.select != "accuracy":
        raise UserError(
            f"--select-every {args.select_every} looks at accuracy and --select is {args.select}: "
            "take --select accuracy, or leave it out"
        )
    if args.class_weights == args.sampling == "balanced":
        raise UserError(
            "--class-weights balanced and --sampling balanced make up for rare classes twice: "
            "leave one of them out"
        )
    if args.mask_options and args.masks in (None, TEACHER):
        raise UserError(
            f"--mask-options {' '.join(args.mask_options)} is about the files of --masks FOLDER: "
            "name the folder, or leave it out"
        )
    if not args.fold_validation and args.fold is not None and args.select != "last":
        raise UserError(
            f"--no-fold-validation leaves nothing to select by, and --select is {args.select}: "
            "take --select last, or leave it out"
        )
    method = method_of(args)
    if args.ensemble > 1 and not method.separable:
        raise UserError(
            f"--ensemble {args.ensemble} cannot train {method.name}, whose loss mixes the pictures "
            "of a batch or whose masks differ by seed: run the seeds one by one"
        )
    if args.ensemble > 1 and args.faithfulness:
        raise UserError(
            f"--faithfulness {args.faithfulness} follows one network and --ensemble "
            f"{args.ensemble} trains several at once: leave one of them out"
        )
    method.check(args)


def seeds_of(args: TrainSettings) -> list[int]:
    return list(range(args.seed, args.seed + args.ensemble))
