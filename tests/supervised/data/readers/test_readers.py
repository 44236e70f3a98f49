"""Every format gives the masks that its own tools make, to the bit."""

import json

import numpy as np
import pytest
import torch
from conftest import names, write_masks
from writers import WRITERS, coco_polygons

from rl_attn.errors import UserError
from rl_attn.supervised.data import load


@pytest.mark.parametrize(
    ("form", "write"),
    [(form, write) for form, writers in WRITERS.items() for write in writers],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_masks_are_those_of_the_png_version(folder, png, form, write):
    masks = write(folder)
    assert len({mask.tobytes() for mask in masks}) > 1
    write_masks(png, masks)
    expected, data = load("masked-folder", png), load("masked-folder", folder, format=form)
    assert data.classes == ("cat", "dog")
    for name, part in expected.splits.items():
        got = data.splits[name]
        assert torch.equal(part.images, got.images) and torch.equal(part.labels, got.labels)
        assert torch.equal(part.masks, got.masks) and got.known is None


def coco(folder, change=lambda data: None):
    coco_polygons(folder)
    data = json.loads((folder / "instances.json").read_text())
    change(data)
    (folder / "instances.json").write_text(json.dumps(data))


def second_category(data):
    """The dogs' regions show something else."""
    data["categories"].append({"id": 9, "name": "hair"})
    for entry in data["annotations"][4:]:
        entry["category_id"] = 9


def by_name(data):
    """name -> (mask, known) over all splits."""
    parts = list(data.splits.values())
    return {
        str(name): (part.masks[i], None if part.known is None else part.known[i])
        for part in parts
        for i, name in enumerate(part.names)
    }


def test_some_labels_matter_and_others_are_unknown(folder):
    coco(folder, second_category)
    options = {"format": "coco", "mask_label": "lesion", "mask_unknown": "hair"}
    found = by_name(load("masked-folder", folder, **options))
    assert sorted(found) == [f"images/{name}" for name in names()]
    mask, known = found["images/cat/1.png"]
    assert mask.any() and (known is None or known.all())
    mask, known = found["images/dog/1.png"]
    assert not mask.any() and 0 < (~known).sum() < 20 * 16 / 2
    assert sum(int(m.any()) for m, _ in by_name(load("masked-folder", folder, format="coco",
        mask_label="hair")).values()) == 4  # fmt: skip


def test_labels_that_no_region_has_are_named(folder):
    coco(folder)
    with pytest.raises(UserError, match=r"labelled mask_label=lesoin: they are lesion \(8\)"):
        load("masked-folder", folder, format="coco", mask_label="lesoin")
    with pytest.raises(UserError, match="mask_range is about mask files"):
        load("masked-folder", folder, format="coco", mask_range="0,1")
    with pytest.raises(UserError, match="unknown annotation format 'coca'"):
        load("masked-folder", folder, format="coca")


def test_an_image_that_no_file_speaks_of(folder):
    coco(folder, lambda data: (data["images"].pop(), data["annotations"].pop()))
    with pytest.raises(UserError, match=r"dog/3\.png is not annotated: say allow_missing=true"):
        load("masked-folder", folder, format="coco")
    found = by_name(load("masked-folder", folder, format="coco", allow_missing="true"))
    assert not found["images/dog/3.png"][1].any()


def test_an_image_of_which_nothing_matters(folder):
    coco(folder, lambda data: data["annotations"].pop())
    found = by_name(load("masked-folder", folder, format="coco"))
    assert not found["images/dog/3.png"][0].any() and found["images/dog/3.png"][1] is None


def test_annotations_of_another_size(folder):
    coco(folder, lambda data: data["images"][2].update(width=16, height=20))
    with pytest.raises(UserError, match=r"cat/2\.png is 20x16 .* instances\.json speaks of 16x20"):
        load("masked-folder", folder, format="coco")


def test_the_class_is_what_regions_show_where_no_folder_says_it(folder):
    for label in ("cat", "dog"):
        for path in (folder / "images" / label).iterdir():
            path.rename(folder / "images" / f"{label}-{path.name}")
    coco(folder, second_category)
    text = (folder / "instances.json").read_text().replace("cat/", "cat-").replace("dog/", "dog-")
    (folder / "instances.json").write_text(text)
    data = load("masked-folder", folder, format="coco")
    assert data.classes == ("hair", "lesion")
    for part in data.splits.values():
        assert [("dog" in name) for name in part.names] == (part.labels == 0).tolist()
    (folder / "instances.json").write_text(text.replace('"image_id": 1,', '"image_id": 6,'))
    with pytest.raises(UserError, match=r"dog-2\.png shows hair and lesion: say its class"):
        load("masked-folder", folder, format="coco", allow_missing="true")


def test_a_name_that_fits_two_images(folder):
    coco(folder)
    text = (folder / "instances.json").read_text().replace("cat/", "").replace("dog/", "")
    (folder / "instances.json").write_text(text)
    with pytest.raises(UserError, match=r"says 0\.png, which is in cat, dog: name its folder"):
        load("masked-folder", folder, format="coco")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "instances.json cannot be read as COCO (JSONDecodeError"),
        ('{"images": 3, "annotations": 1, "categories": []}', "cannot be read as COCO (TypeError"),
        ("[1, 2]", "no coco annotation of these images"),
    ],
)
def test_damaged_files(folder, text, message):
    (folder / "instances.json").write_text(text)
    with pytest.raises(UserError) as error:
        load("masked-folder", folder, format="coco")
    assert message in str(error.value) and "\n" not in str(error.value)


def test_the_format_is_named_where_there_are_no_masks(folder):
    coco(folder)
    with pytest.raises(UserError, match="holds what reads as coco: say --data-options format=coco"):
        load("masked-folder", folder)


def test_a_video_is_refused(folder):
    (folder / "a.xml").write_text("<annotations><track/></annotations>")
    with pytest.raises(UserError, match="tracks of a video"):
        load("masked-folder", folder, format="cvat")


def test_shapes_of_known_area():
    from rl_attn.supervised.data.readers.base import box, ellipse, polygons, turned

    assert np.argwhere(box(1, 0.4, 2.6, 2.5)(4, 5)).tolist() == [
        [0, 1], [0, 2], [1, 1], [1, 2], [2, 1], [2, 2],
    ]  # fmt: skip
    assert box(-3, -3, 99, 99)(4, 5).all()
    assert ellipse(2, 2, 1.6, 1.6)(4, 4).sum() == 12  # all but the corners, at 1.5 * 2 ** 0.5
    assert np.array_equal(ellipse(10, 10, 8, 4, 90)(20, 20), ellipse(10, 10, 4, 8)(20, 20))
    square = polygons([turned(4, 4, 6, 4, (7, 6), 90)])(12, 14)  # about its middle: 4 wide, 6 high
    assert np.array_equal(square, box(5, 3, 9, 9)(12, 14))
    with pytest.raises(ValueError, match="three points"):
        polygons([[1, 2, 3, 4]])


def test_labels_of_whole_images(folder):
    """CVAT's tags, Label Studio's choices, LabelMe's flags."""
    from rl_attn.supervised.data.readers import READERS

    (folder / "a.xml").write_text(
        '<annotations><image name="x.png" width="4" height="4"><tag label="ill"/></image>'
        "</annotations>"
    )
    choice = {"type": "choices", "value": {"choices": ["ill"]}}
    task = {
        "data": {"image": "/data/upload/3/1a2b3c4d-x.png"},
        "annotations": [{"result": [choice]}],
    }
    (folder / "b.json").write_text(json.dumps([task, {"data": {}, "annotations": []}]))
    (folder / "c.json").write_text(
        json.dumps(
            {"shapes": [], "imagePath": "..\\raw\\x.png", "flags": {"ill": True, "old": False}}
        )
    )
    for form, name in {"cvat": "x.png", "label-studio": "x.png", "labelme": "../raw/x.png"}.items():
        (marks,) = READERS[form](folder)
        assert (marks.image, marks.labels, marks.regions) == (name, ("ill",), ())


def test_of_several_labels_the_mask_is_of_the_rarest(folder):
    def both(data):
        """Every image shows a lesion, two of them hair, too, in the upper left pixel."""
        data["categories"].append({"id": 9, "name": "hair"})
        for i in (1, 6):
            data["annotations"].append(
                {"id": 90 + i, "image_id": i, "category_id": 9, "bbox": [0, 0, 1, 1]}
            )

    coco(folder, both)
    for path in folder.glob("images/*/*.png"):
        path.rename(folder / "images" / f"{path.parent.name}-{path.name}")
    text = (folder / "instances.json").read_text().replace("cat/", "cat-").replace("dog/", "dog-")
    (folder / "instances.json").write_text(text)
    # Four pictures of each label are wanted to deal them; here splits are given.
    files = sorted((folder / "images").glob("*.png"))
    rows = [f"{path.name},{('train', 'val', 'test')[i % 3]}" for i, path in enumerate(files)]
    (folder / "samples.csv").write_text("\n".join(["image,split", *rows]))
    options = {"format": "coco", "several": "true", "table": "samples.csv"}
    with pytest.raises(UserError, match=r"too few of hair \(2\)"):
        load("masked-folder", folder, format="coco", several="true")
    found = by_name(load("masked-folder", folder, **options, seed=3))
    assert {name for name, (mask, _) in found.items() if mask.sum() == 255} == {
        "images/cat-1.png", "images/dog-2.png",
    }  # fmt: skip


@pytest.mark.parametrize("layout", ["images/{}", "{}/images"])
def test_the_layouts_that_yolo_is_trained_on(folder, layout):
    """Splits are folders, images lie in them without classes, labels in folders beside them."""
    (folder / "data.yaml").write_text("names: [round, square]\n")
    splits = {"train": 4, "val": 2, "test": 2}
    images = iter(sorted(folder.glob("images/*/*.png")))
    for split, number in splits.items():
        place = folder / layout.format(split)
        labels = folder / layout.format(split).replace("images", "labels")
        for path in (place, labels):
            path.mkdir(parents=True)
        for i in range(number):
            next(images).rename(place / f"{i}.png")
            (labels / f"{i}.txt").write_text(f"{i % 2} 0.5 0.5 0.2 0.25\n")
    for label in ("cat", "dog"):
        (folder / "images" / label).rmdir()
    if layout == "{}/images":
        (folder / "images").rmdir()
    data = load("masked-folder", folder, format="yolo")
    assert data.classes == ("round", "square")
    assert {name: len(part) for name, part in data.splits.items()} == {
        "train": 4, "validation": 2, "test": 2,
    }  # fmt: skip
    for part in data.splits.values():
        assert part.labels.tolist() == [i % 2 for i in range(len(part))]
        assert (part.masks.sum((1, 2)) == 255 * 4 * 4).all()
