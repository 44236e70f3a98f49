"""The command that makes masks, with a CLIP of random weights: files, resume, repair, measures."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from rl_attn.errors import UserError
from rl_attn.run.cli import parse
from rl_attn.supervised import masks
from rl_attn.supervised.data import load
from rl_attn.supervised.mask_folder import MaskFile, read
from rl_attn.supervised.mask_report import held_out_iou
from rl_attn.supervised.settings import args_type
from rl_attn.supervised.setup import read_data
from rl_attn.teachers import Teacher
from rl_attn.teachers.teacher import Taught


def command(clip_folder, out, *more):
    flags = f"--data digits --splits test --foreground digit --model {clip_folder} --out {out}"
    return [*flags.split(), "--batch-size", "200", *more]


def test_masks_are_made_measured_resumed_and_repaired(clip_folder, tmp_path, monkeypatch, capsys):
    out = tmp_path / "masks"
    split = load("digits").splits["test"]
    # Interrupted after the first chunk:
    real, calls = Teacher.__call__, []

    def once(self, *arguments):
        if calls:
            raise KeyboardInterrupt
        calls.append(1)
        return real(self, *arguments)

    monkeypatch.setattr(Teacher, "__call__", once)
    with pytest.raises(KeyboardInterrupt):
        masks.main(command(clip_folder, out))
    assert not (out / "test.npy").exists()  # nothing that training would take for whole
    # Resumed: only the rest is made.
    made = []

    def counted(self, images, labels):
        made.append(len(images))
        return real(self, images, labels)

    monkeypatch.setattr(Teacher, "__call__", counted)
    assert masks.main(command(clip_folder, out)) == 0
    assert sum(made) == len(split) - 200
    first = np.array(read(out, "test", (len(split), *split.images.shape[2:])))
    assert first.max() > 0
    summary = json.loads((out / "evaluation.json").read_text())["summary"]
    assert 0 <= summary["iou"]["mean"] <= 1
    assert (out / "contact.png").stat().st_size > 0
    # Damaged in its last chunk, repaired by the same command:
    damaged = np.load(out / "test.npy", mmap_mode="r+")
    damaged[-1] ^= 0xFF
    damaged.flush()
    made.clear()
    assert masks.main(command(clip_folder, out)) == 0
    assert made == [len(split) % 200]
    assert (np.array(read(out, "test", first.shape)) == first).all()
    # Another maker's masks do not mix with these.
    with pytest.raises(UserError, match=r"made otherwise .teacher"):
        masks.main(command(clip_folder, out, "--teacher", "cam"))


def test_masks_of_a_folder_find_their_images_however_these_are_dealt(
    clip_folder, tmp_path, monkeypatch
):
    """The teacher marks what is bright; training deals the images by another seed."""
    for i in range(16):
        image, place = np.zeros((12, 12, 3), np.uint8), tmp_path / "set" / "ab"[i % 2]
        image[i // 2, i % 2 :] = 255
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{i}.png")
        Image.new("L", (12, 12), 255).save(place / f"{i}_mask.png")

    def bright(self, images, labels):
        return Taught((images[:, 0] > 0).float(), torch.ones(len(images)))

    monkeypatch.setattr(Teacher, "__call__", bright)
    of = ["--data", "masked-folder", "--data-root", str(tmp_path / "set")]
    out = ["--out", str(tmp_path / "masks"), "--model", str(clip_folder), "--foreground", "light"]
    assert masks.main([*of, *out]) == 0
    names = json.loads((tmp_path / "masks" / "names.json").read_text())
    argv = [*of, "--data-options", "seed=1", "--masks", str(tmp_path / "masks")]
    found = read_data(parse(args_type(argv), argv, "train")).taught.splits
    assert names["test"] != found["test"].names.tolist()
    for split in found.values():
        assert torch.equal(split.masks > 0, split.images[:, 0] > 0)


def test_mistakes_are_told_before_work(clip_folder, tmp_path):
    for more, said in (
        (["--splits", "tests"], "no split 'tests'"),
        (["--foreground", "a", "b"], "2 words"),
        (["--threshold", "1.5"], "--threshold"),
        (["--batch-size", "0"], "--batch-size"),
    ):
        with pytest.raises(UserError, match=said):
            masks.main(command(clip_folder, tmp_path / "out", *more))


def test_a_mask_file_knows_what_is_missing(tmp_path):
    file = MaskFile(tmp_path, "train", (5, 2, 2), chunk=2)
    assert list(file.missing()) == [slice(0, 2), slice(2, 4), slice(4, 5)]
    file.write(slice(2, 4), np.full((2, 2, 2), 7, np.uint8))
    again = MaskFile(tmp_path, "train", (5, 2, 2), chunk=2)
    assert list(again.missing()) == [slice(0, 2), slice(4, 5)]
    (tmp_path / "train.part.npy").write_bytes(b"not even a header")
    assert len(list(MaskFile(tmp_path, "train", (5, 2, 2), chunk=2).missing())) == 3


def test_each_fold_is_measured_at_the_threshold_of_the_other():
    curve = torch.zeros(4, 49)
    curve[0::2, 10], curve[0::2, 20] = 0.9, 0.2  # even pictures are best at threshold 10
    curve[1::2, 20], curve[1::2, 10] = 0.8, 0.1
    measured, thresholds = held_out_iou(curve)
    torch.testing.assert_close(measured, torch.tensor([0.2, 0.1, 0.2, 0.1]))
    assert thresholds == [0.42, 0.22]
