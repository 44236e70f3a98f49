"""From settings to data: images are resized once, and what is unknown reaches batches."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rl_attn.errors import UserError
from rl_attn.run.cli import parse
from rl_attn.supervised.batches import Batches, View, resized
from rl_attn.supervised.data import Split
from rl_attn.supervised.data.annotations import MaskOptions, MaskReader
from rl_attn.supervised.data.resize import resize_masks
from rl_attn.supervised.inputs import Inputs
from rl_attn.supervised.settings import TrainSettings, args_type, validate
from rl_attn.supervised.setup import read_data


@pytest.fixture
def root(tmp_path) -> Path:
    """Noise of single pixels, 24 x 18; the first image of each class has no mask."""
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        for kind in ("images", "masks"):
            (tmp_path / kind / name).mkdir(parents=True)
        for i in range(6):
            image = rng.integers(256, size=(18, 24, 3), dtype=np.uint8)
            Image.fromarray(image).save(tmp_path / "images" / name / f"{i}.png")
            if i:
                mask = np.zeros((18, 24), np.uint8)
                mask[4:9, 6:12] = 255
                Image.fromarray(mask).save(tmp_path / "masks" / name / f"{i}.png")
    return tmp_path


def args_of(root: Path, *flags: str):
    argv = ["--data", "masked-folder", "--data-root", str(root), *flags]
    argv += [] if "--data-options" in flags else ["--data-options", "allow_missing=true"]
    return parse(args_type(argv), argv, "supervised.train")


@pytest.mark.parametrize(("crop", "side", "window"), [("none", 14, None), ("center", 16, (14, 14))])
def test_images_are_resized_once_from_their_files(root, capsys, crop, side, window):
    args = args_of(root, "--size", "14", "--fit", "stretch", "--crop", crop)
    own = read_data(args).own
    assert "stretched, their aspect changed" in capsys.readouterr().out
    seen, cut = resized(own, args.size, args.crop)
    assert seen is own and cut == window
    once = {
        np.asarray(Image.open(p).resize((side, side), Image.Resampling.BILINEAR)).tobytes()
        for p in root.glob("images/*/*.png")
    }
    images = torch.cat([part.images for part in seen.splits.values()]).permute(0, 2, 3, 1)
    assert {image.numpy().tobytes() for image in images} == once


def test_sizes_that_contradict_are_refused(root):
    for flags, message in (
        (["--size", "14", "--data-options", "size=16"], "two sizes: leave the option out"),
        (["--crop", "center"], "say which --size"),
    ):
        with pytest.raises(UserError, match=message):
            read_data(args_of(root, *flags))
    argv = ["--data", "digits", "--fit", "crop"]
    with pytest.raises(UserError, match="digits has square pictures"):
        read_data(parse(args_type(argv), argv, "supervised.train"))


def test_an_image_without_a_mask_is_unknown_in_batches(root, capsys):
    own = read_data(args_of(root)).own
    assert "16.7% of the images not annotated" in capsys.readouterr().out
    everything = [part for part in own.splits.values() if part.known is not None]
    assert sum(int((~part.annotated).sum()) for part in everything) == 2


def test_known_is_cut_and_mirrored_as_masks_are():
    images = torch.arange(2 * 36).view(2, 1, 6, 6).byte()
    split = Split(images, torch.tensor([0, 1]), images[:, 0], known=images[:, 0] % 3 > 0)
    batches = Batches(split, View((4, 4), 1, torch.zeros(1), torch.ones(1)))
    crops = torch.tensor([[0.0, 0.9], [0.9, 0.4]])
    batch = batches.take(torch.tensor([1, 0]), crops, torch.tensor([True, False]))
    assert torch.equal(batch.known, (batch.masks * 255).round() % 3 > 0)
    batches.give_target(lambda masks, known: known, once=True)
    assert torch.equal(batches.targets, split.known)


def test_split_wants_known_of_the_masks_shape():
    images = torch.zeros(1, 1, 2, 2, dtype=torch.uint8)
    for known in (torch.ones(1, 2, 3, dtype=torch.bool), torch.ones(1, 2, 2)):
        with pytest.raises(ValueError, match="known must be bool"):
            Split(images, torch.tensor([0]), images[:, 0], known=known)


def test_resized_masks_average_what_is_known():
    masks = torch.tensor([[[200, 200, 0, 0]] * 4], dtype=torch.uint8)
    known = torch.tensor([[[True, True, False, False]] * 4])
    small, still = resize_masks(masks, known, 2)
    assert still.tolist() == [[[True, False]] * 2] and not small[0, :, 1].any()
    assert (small[0, :, 0].int() - 200).abs().max() <= 1


def test_pictures_that_are_made_at_a_size_are_not_resized_to_another(tmp_path):
    argv = ["--data", "decoy-mnist", "--data-options", "size=20", "--size", "24"]
    with pytest.raises(UserError, match="would resize each picture twice: leave one of them out"):
        read_data(parse(args_type(argv), argv, "supervised.train"))


def trimap(number: int) -> np.ndarray:
    """(N, 18, 24): white, black, and grey where nobody has said anything."""
    levels = np.zeros((number, 18, 24), np.uint8)
    levels[:, 4:9], levels[:, 12:] = 255, 128
    return levels


@pytest.mark.parametrize("stored", [(18, 24), (18, 18), (9, 12)])
def test_a_mask_file_that_is_asked_keeps_what_is_unknown(tmp_path, stored):
    Image.fromarray(trimap(1)[0]).save(tmp_path / "mask.png")
    inputs = Inputs(("a",), stored, None, 3, False, (0.5,) * 3, (0.5,) * 3, "stretch")
    reader = MaskReader(MaskOptions.of(mask_kind="trimap"))
    values, known = inputs.read_mask(tmp_path / "mask.png", reader, (24, 18))
    assert values.shape == known.shape == stored
    grey = stored[0] * 12 // 18  # the rows from there on
    assert known[: grey - 1].all() and not known[grey + 1 :].any()
    assert not values[~known].any() and values.max() == 1
    if stored == (18, 24):
        torch.testing.assert_close(known, torch.from_numpy(trimap(1)[0] != 128))


@pytest.mark.parametrize("files", [True, False])
@pytest.mark.parametrize(
    ("options", "levels"),
    [
        (["mask_kind=trimap"], (0, 128, 255)),
        (["mask-label=1", "mask-unknown=9"], (0, 9, 1)),
    ],
)
def test_masks_of_a_folder_have_three_answers(root, tmp_path_factory, files, options, levels):
    folder = tmp_path_factory.mktemp("masks")
    flags = ["--masks", str(folder), "--mask-options", *options]
    for name, part in read_data(args_of(root)).own.splits.items():
        masks = trimap(len(part))
        stored = np.select([masks == 128, masks == 255], levels[1:], levels[0]).astype(np.uint8)
        if not files:
            np.save(folder / f"{name}.npy", stored)
            continue
        (folder / name).mkdir()
        for i, mask in enumerate(stored):
            Image.fromarray(mask).save(folder / name / f"{i:06d}.png")
    for part in read_data(args_of(root, *flags)).taught.splits.values():
        np.testing.assert_array_equal(part.known.numpy(), trimap(len(part)) != 128)
        np.testing.assert_array_equal(part.masks.numpy(), (trimap(len(part)) == 255) * 255)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("mask_knd=trimap", "did you mean mask_kind"),
        ("mask_kind=trimp", "did you mean trimap"),
        ("mask_kind=trimap", "holds levels 9, neither black, middle grey nor white"),
        ("mask_label=3", "no mask holds mask_label=3: they hold 9"),
        ("mask_label=x", "must be an index"),
    ],
)
def test_how_masks_of_a_folder_are_meant_is_checked(root, tmp_path_factory, options, message):
    folder = tmp_path_factory.mktemp("masks")
    for name, part in read_data(args_of(root)).own.splits.items():
        np.save(folder / f"{name}.npy", np.full((len(part), 18, 24), 9, np.uint8))
    with pytest.raises(UserError, match=message):
        read_data(args_of(root, "--masks", str(folder), "--mask-options", options))


def test_options_of_masks_need_a_folder_of_masks(root):
    with pytest.raises(UserError, match="name the folder, or leave it out"):
        validate(args_of(root, "--mask-options", "mask_kind=trimap"))


def test_a_folder_of_one_s_own_begins_with_a_resnet_and_says_what_it_has_not(
    root, monkeypatch, capsys
):
    """ImageNet's weights where they can be had, and a line where not; other sets as before."""
    from rl_attn.supervised.setup import make_model

    def asked(*flags: str) -> TrainSettings:
        argv = ["--data", "masked-folder", "--data-root", str(root), *flags]
        return parse(args_type(argv), argv, "train")

    args = asked()
    assert (args.backbone, args.weights) == ("resnet18", "auto")
    assert asked("--backbone", "lenet").backbone == "lenet"
    assert parse(args_type([]), [], "train").weights == "none"
    monkeypatch.setattr("torch.hub.load_state_dict_from_url", no_network)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", no_network)
    inputs = Inputs(("a", "b"), (64, 64), None, 3, False, (0.5,) * 3, (0.5,) * 3)
    model = make_model(args, inputs)
    said = capsys.readouterr().out
    assert "training starts from random weights" in said and "could not be fetched" in said
    assert model.fc.out_features == 2


def no_network(*_: object, **__: object) -> None:
    raise OSError("no network")
