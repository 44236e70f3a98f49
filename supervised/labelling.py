"""What `supervised.masks` does: ask a teacher about every picture, and measure what it says."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rl_attn.attention import dilate, edge_band
from rl_attn.errors import UserError
from rl_attn.run.cli import read_options
from rl_attn.run.device import pick_device
from rl_attn.run.files import write_text
from rl_attn.run.folder import locked
from rl_attn.run.loop import Pieces, carry_out
from rl_attn.run.progress import Progress
from rl_attn.run.signals import stop_requests
from rl_attn.supervised.data import DataSet, Split, load
from rl_attn.supervised.data.replaced import NAMES
from rl_attn.supervised.mask_folder import MaskFile, claim
from rl_attn.supervised.mask_report import contact_sheet, evaluate
from rl_attn.supervised.masks import MaskSettings
from rl_attn.teachers import LEARNING_TO_LOOK, Prompts, Teacher, load_clip
from rl_attn.teachers.doom_prompts import DOOM, doom_words


def prompts_of(args: MaskSettings, dataset: DataSet) -> Prompts:
    """The words: the user's, else those of the paper, of the offline teacher, or CLIP-ES's."""
    usual = LEARNING_TO_LOOK.get(args.data)
    if usual is None:
        usual = DOOM if args.model == "doom" else Prompts(("class",))
        usual = Prompts(doom_words(dataset.classes), usual.background, usual.templates)
    foreground = args.foreground or usual.foreground
    if len(foreground) not in (1, len(dataset.classes)):
        raise UserError(
            f"--foreground has {len(foreground)} words: give one for all, or one for each of the "
            f"{len(dataset.classes)} classes {', '.join(dataset.classes)}"
        )
    background = args.background or usual.background
    return Prompts(tuple(foreground), tuple(background), args.templates or usual.templates)


def teacher_of(args: MaskSettings, prompts: Prompts, device: torch.device) -> Teacher:
    """The model at the sizes asked for, and how it is read."""
    clips = [load_clip(args.model, args.weights, device, n) for n in args.input_size or (None,)]
    return Teacher(
        clips,
        prompts,
        args.teacher,
        args.refine,
        args.batch_size,
        spread=args.spread,
        mirror=args.mirror,
    )


def label(teacher: Teacher, args: MaskSettings, split: Split, file: MaskFile) -> Iterator[int]:
    """Make what is missing of a split, chunk by chunk; yields how many pictures are done."""
    done = len(split)
    for rows in (missing := list(file.missing())):
        done -= rows.stop - rows.start
    if done:
        yield done
    for rows in missing:
        taught = teacher(split.images[rows], split.labels[rows])
        masks = postprocessed(taught.masks, args)
        file.write(rows, (masks * 255).round().byte().cpu().numpy())
        done += rows.stop - rows.start
        yield done
    file.finish()


def postprocessed(masks: Tensor, args: MaskSettings) -> Tensor:
    """Threshold, dilation and edge band, (B, H, W)."""
    if args.threshold:
        masks = (masks > args.threshold).float()
    if args.dilate:
        masks = dilate(masks, args.dilate)
    return edge_band(masks, cover=0, edge=args.edge) if args.edge else masks


def maker_of(
    args: MaskSettings, prompts: Prompts, teacher: Teacher, dataset: DataSet
) -> dict[str, Any]:
    """What the masks depend on; a folder holds the masks of one such maker."""
    makes = ("data", "data_options", "teacher", "model", "input_size", "mirror", "spread", "refine")
    shaped = ("threshold", "dilate", "edge", "batch_size")
    maker = {name: getattr(args, name) for name in (*makes, *shaped)}
    maker |= {"weights": teacher.clip.weights, "prompts": asdict(prompts)}
    maker["pictures"] = {
        name: hashlib.sha256(split.images.contiguous().numpy()).hexdigest()[:16]
        for name, split in dataset.splits.items()
    }
    return json.loads(json.dumps(maker))  # as it will be read


def label_data(args: MaskSettings) -> int:
    """Make the masks of a data set and measure them; returns the exit status."""
    options = read_options(args.data_options, "--data-options")
    dataset = load(args.data, Path(args.data_root), **options)
    unknown = [name for name in args.splits if name not in dataset.splits]
    if unknown:
        raise UserError(
            f"{args.data} has no split {unknown[0]!r}: choose from {', '.join(dataset.splits)}"
        )
    if args.threads:
        torch.set_num_threads(args.threads)
    prompts = prompts_of(args, dataset)
    teacher = teacher_of(args, prompts, pick_device(args.device))
    model = Path(args.model).name
    folder = Path(args.out or Path("runs") / "masks" / args.data / f"{model}-{args.teacher}")
    claim(folder, maker_of(args, prompts, teacher, dataset))
    splits = {name: dataset.splits[name] for name in args.splits or dataset.splits}
    if all(split.names is not None for split in splits.values()):
        whose = {name: split.names.tolist() for name, split in splits.items()}
        write_text(folder / NAMES, json.dumps(whose))
    return run(args, teacher, splits, folder)


def label_all(
    teacher: Teacher, args: MaskSettings, splits: dict[str, Split], folder: Path
) -> Pieces:
    """All splits, one after the other."""
    before = 0
    for name, split in splits.items():
        shape = (len(split), *split.images.shape[2:])
        for done in label(teacher, args, split, MaskFile(folder, name, shape, args.batch_size)):
            yield before + done, {}
        before += len(split)


def run(args: MaskSettings, teacher: Teacher, splits: dict[str, Split], folder: Path) -> int:
    """Label what is missing, then measure; returns the exit status."""
    total = sum(len(split) for split in splits.values())
    with stop_requests("after this batch") as stop:
        status = carry_out(
            label_all(teacher, args, splits, folder),
            stop,
            Progress(0, total, lambda values: ""),
            lambda: None,  # every batch is on the disk
            interval=total,
            again="the same command goes on from there",
            log=locked(folder),
        )
    if status != 0:
        return status
    contact_sheet(splits, folder)
    result = evaluate(splits, folder)
    if result:
        write_text(folder / "evaluation.json", json.dumps(result, indent=2))
        summary = {name: value["mean"] for name, value in result["summary"].items()}
        print("  ".join(f"{name} {value:.3f}" for name, value in summary.items()))
    print(f"done: {folder}; train on them with python -m supervised.train --masks {folder}")
    return 0
