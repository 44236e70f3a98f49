"""A page about one run of rl-attn train: how well, what it takes for what, where it looks.

    rl-attn report runs/masked-folder/camal-resnet18-s1-...

The run's best network is measured again on its test images. Intervals are of resampled images
(percentiles of a bootstrap): they say what other images of the kind would give, not other seeds.
Three rows of images: the best (right, and the attention most on the mask), the worst (wrong, and
surest of it) and the most wrongly attended (the least share of the attention in the mask, right
or wrong). Of images without masks the best are those that it is surest of. Of a number, those that
are off by less than the median are right, and the worst are the farthest off; maps have signs.

Letters: N test images.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from rl_attn.attention import Attention
from rl_attn.overlay import show
from rl_attn.reports.album import Page, Part, Shown, album
from rl_attn.run.files import replacing, write_text
from rl_attn.run.folder import load_args, make
from rl_attn.supervised.batches import Batches, resized
from rl_attn.supervised.classifier import load_classifier
from rl_attn.supervised.data import Split
from rl_attn.supervised.data.deal import strata_of
from rl_attn.supervised.evaluation import at_rest, attention_of, means, measured
from rl_attn.supervised.network import Network
from rl_attn.supervised.settings import args_type
from rl_attn.supervised.setup import make_view, read_data
from rl_attn.supervised.tasks import Classes

#: Images of each kind that are shown.
SHOWN = 6
#: Resamples of the images, each of which is measured again.
RESAMPLES = 300


def classifier_report(run: Path, out: Path, seed: int = 0) -> None:
    """Write index.html, metrics.csv, images.csv and pictures into the folder `out`."""
    where = torch.device("cpu")
    args = replace(load_args(run, args_type), masks=None)
    dataset = read_data(args).own
    network: Network = load_classifier(run, where)._network
    task = network.task
    sized, crop = resized(dataset, args.size, args.crop)
    view = make_view(args, sized, crop, where)
    tests = {
        name: Batches(split.to(where), view, task=task)
        for name, split in sized.splits.items()
        if name.startswith("test")
    }
    make(out / "pictures")
    parts, tables = [], []
    for name, batches in tests.items():
        columns = measured(network, batches)[0]
        table = with_intervals(columns, batches, seed)
        tables.append(table.assign(split=name))
        parts.append(_metrics(name, table, len(batches)))
        parts.append(_mistaken(name, task, columns["predictions"], batches.split, dataset.classes))
    test = tests["test"]
    first = measured(network, test)[0]
    answers = Answers.of(task, first["predictions"].cpu(), test.split, dataset.classes)
    write_text(out / "metrics.csv", pd.concat(tables).to_csv(index=False))
    write_text(out / "images.csv", as_table(first, answers).to_csv(index=False))
    for kind, (text, chosen) in chosen_images(first, answers).items():
        shown = _pictures(network, test, first, chosen, answers, kind, out)
        if shown:
            parts.append(Part(kind, text, pictures=shown))
    lead = (
        f"{args.method} on {args.data}, {args.backbone}, attention ({network.attention}) at "
        f"{network.layer or 'the input'}; the network that was kept by --select {args.select}."
    )
    write_text(out / "index.html", album(Page(run.name, lead, parts)))


def with_intervals(columns: dict[str, Tensor], batches: Batches, seed: int) -> pd.DataFrame:
    """metric, value, low, high: 95 % of the values of resampled images."""
    value = means(columns, batches.split, batches.task)
    random, number, where = np.random.default_rng(seed), len(batches), batches.split.labels.device
    blank = torch.zeros(number, 1, 1, 1, dtype=torch.uint8, device=where)
    split = replace(batches.split, images=blank, masks=None, known=None)  # what is not measured
    drawn = []
    for _ in range(RESAMPLES):
        rows = torch.from_numpy(random.integers(0, number, number))
        part = {name: column[rows.to(column.device)] for name, column in columns.items()}
        drawn.append(means(part, split[rows.to(where)], batches.task))
    table = pd.DataFrame(drawn).reindex(columns=list(value))
    low, high = table.quantile(0.025), table.quantile(0.975)
    return pd.DataFrame(
        {
            "metric": list(value),
            "value": list(value.values()),
            "low": low.values,
            "high": high.values,
        }
    )


class Answers(NamedTuple):
    """What a network said of N images."""

    names: list[str]  # of the images: their files, or their numbers
    true: list[str]  # names of classes; where images have several labels, of all; or numbers
    said: list[str]
    right: Tensor  # (N,) bool; of several labels: all of them; of a number: of the nearer half
    sure: Tensor  # (N,) probability of what was said; of several labels: the mean of each
    error: Tensor | None = None  # (N,) of numbers, with its sign

    @classmethod
    def of(cls, task: Classes, found: Tensor, split: Split, classes: Sequence[str]) -> "Answers":
        """found: (N, classes), as `task` predicts."""
        known = split.names
        files = [str(i) for i in range(len(split))] if known is None else list(map(str, known))
        names = task.truth(split, classes), task.words(found, classes)
        if split.values is not None:
            error = found[:, 0] - split.values.cpu()
            size = error.abs()
            return cls(files, *names, size <= size.median(), size, error)
        if split.several is None:
            return cls(files, *names, found.argmax(1) == split.labels.cpu(), found.amax(1))
        right = ((found > 0.5) == split.several.cpu()).all(1)
        return cls(files, *names, right, torch.maximum(found, 1 - found).mean(1))

    def title(self, number: int) -> str:
        """What an image shows, and what was said of it."""
        true, said, sure = self.true[number], self.said[number], self.sure[number].item()
        if self.error is not None:
            return f"{true}, predicted {said}"
        return f"{true}, taken for {said} ({sure:.1%})"


def chosen_images(columns: dict[str, Tensor], answers: Answers) -> dict[str, tuple[str, list[int]]]:
    """What a row of images is called, what it shows, and which images of the split."""
    right, sure, number = answers.right, answers.sure, answers.error is not None
    marked = columns["present"].cpu().bool() if "present" in columns else torch.zeros_like(right)
    best = -sure if number else sure
    if marked.any():
        best = torch.where(marked, columns["iou"].cpu(), -1.0)
    good, bad = ("Among the nearer half", "Farthest off.") if number else ("Right", "Wrong")
    surest = "nearest" if number else "surest of it"
    rows = {
        "The best": (f"{good}, and {'the attention most on the mask' if marked.any() else surest}.",
                     _largest(best, right)),
        "The worst": (bad if number else f"{bad}, and {surest}.", _largest(sure, ~right)),
    }  # fmt: skip
    if marked.any():
        live = marked & (columns["dead_maps"].cpu() == 0)
        least = _largest(-columns["energy_inside"].cpu(), live)
        text = "The least share of the attention in the mask; what is predicted may be right."
        rows["Most wrongly attended"] = (text, least)
    return rows


def _largest(values: Tensor, among: Tensor) -> list[int]:
    order = values.masked_fill(~among, -torch.inf).argsort(descending=True, stable=True)
    return [int(i) for i in order[: min(SHOWN, int(among.sum()))]]


def as_table(columns: dict[str, Tensor], answers: Answers) -> pd.DataFrame:
    """A row a test image: what it is, what was said, and every measure."""
    table: dict[str, Any] = {
        "image": answers.names,
        "label": answers.true,
        "predicted": answers.said,
    }
    if answers.error is None:
        table["probability"] = answers.sure.tolist()
    else:
        table["error"] = answers.error.tolist()
    rest = {name: c.tolist() for name, c in columns.items() if name != "predictions"}
    return pd.DataFrame(table | rest)


def _metrics(name: str, table: pd.DataFrame, number: int) -> Part:
    rows = [
        (row.metric.replace("_", " "), f"{row.value:.3f}", f"{row.low:.3f} to {row.high:.3f}")
        for row in table.itertuples()
    ]
    text = f"{number} images; intervals of {RESAMPLES} resamples of them, for this one network."
    return Part(f"Measures on {name}", text, ("", "value", "95 % interval"), rows)


def _mistaken(
    name: str, task: Classes, predictions: Tensor, split: Split, classes: tuple[str, ...]
) -> Part:
    """Which classes are taken for which; where numbers are missed, and in what direction."""
    matrix = task.confusion(predictions, split)
    if matrix is not None:
        return _confused(name, matrix, classes)
    values, error = split.values.cpu(), (predictions[:, 0].cpu() - split.values.cpu())
    rows = []
    fifths = strata_of(split, least=1).cpu()
    for fifth in fifths.unique():
        own = fifths == fifth
        reach = f"{values[own].min().item():.4g} to {values[own].max().item():.4g}"
        off = (error[own].abs().mean().item(), error[own].mean().item())
        rows.append((reach, str(int(own.sum())), f"{off[0]:.4g}", f"{off[1]:+.4g}"))
    text = (
        "Images in the order of their numbers, in fifths: how far predictions are off, and whether "
        "they are too large (+) or too small (-)."
    )
    head = (classes[0], "images", "mean absolute error", "mean error")
    return Part(f"Errors on {name}", text, head, rows)


def _confused(name: str, matrix: np.ndarray, classes: tuple[str, ...]) -> Part:
    if matrix.ndim == 3:  # (classes, 2, 2), of each label whether it is there by what was said
        text = "Where images have several labels: how often each was there, and was predicted."
        head = ("label", "there, predicted", "there, missed", "not there, predicted", "neither")
        rows = [
            (label, *map(str, (yes[1], yes[0], no[1], no[0])))
            for label, (no, yes) in zip(classes, matrix.tolist(), strict=True)
        ]
        return Part(f"Confusion on {name}", text, head, rows)
    totals = matrix.sum(1, keepdims=True).clip(1)
    rows = [
        (classes[i], *(f"{n} ({n / totals[i, 0]:.0%})" if n else "0" for n in row))
        for i, row in enumerate(matrix)
    ]
    text = "A row a true class, a column a predicted one: images, and the share of the row."
    return Part(f"Confusion on {name}", text, ("true \\ predicted", *classes), rows)


def _pictures(
    network: Network,
    batches: Batches,
    columns: dict[str, Tensor],
    chosen: list[int],
    answers: Answers,
    kind: str,
    out: Path,
) -> list[Shown]:
    """The images with the map of their true class and their mask's outline, as files."""
    if not chosen:
        return []
    index = torch.tensor(chosen)
    batch = batches.take(index.repeat(network.copies))
    signed = network.task.signed
    with at_rest(network):
        attention = attention_of(network, batch, signed)[1].detach()
    mean, std = batches.view.mean[:, None, None], batches.view.std[:, None, None]
    shown = []
    for row, number in enumerate(chosen):
        title = answers.title(number)
        measures = [f"{n.replace('_', ' ')} {columns[n][number].item():.2f}"
                    for n in ("iou", "energy_inside") if n in columns]  # fmt: skip
        image = (batch.pictures[row] * std + mean).clamp(0, 1)
        one = Attention(attention.map[row : row + 1], attention.cells)
        mask = None if batch.masks is None else batch.masks[row]
        file = f"pictures/{kind.lower().replace(' ', '-')}-{row + 1}.png"
        with replacing(out / file) as scratch:
            drawn = show(image, {network.attention: one}, mask, signed=signed)
            drawn.save(scratch, "PNG")
        caption = "; ".join([title, *measures, answers.names[number]])
        shown.append(Shown(file, title, caption))
    return shown
