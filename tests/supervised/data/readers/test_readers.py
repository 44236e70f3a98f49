"""Every format gives the masks that its own tools make, to the bit."""

import json
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
import torch
from conftest import names, write_masks
from writers import WRITERS, coco_polygons

from rl_attn.errors import UserError
from rl_attn.supervised.data import load
from rl_attn.supervised.data.annotations import MaskOptions
from rl_attn.supervised.data.images import Problem
from rl_attn.supervised.data.marks import Marked, _fitting
from rl_attn.supervised.data.readers import READERS
from rl_attn.supervised.data.readers.base import Marks, Region, stored


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
        (
            '{"images": 3, "annotations": 1, "categories": []}',
            "cannot be read as COCO (ValueError: its images are no list",
        ),
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


def one(text, kind):
    """A file of one image with one region."""
    image, category = {"id": 1, "file_name": "x", "width": 9, "height": 9}, {"id": 2, "name": "a"}
    entry = {"image_id": 1, "category_id": 2}
    if kind == "coco":
        data = {"images": [image], "categories": [category], "annotations": [entry | text]}
        return json.dumps(data | text.pop("top", {}))
    if kind == "labelme":
        return json.dumps({"imagePath": "x", "shapes": [{"label": "a"} | text]})
    head = '<annotations><image name="x" width="9" height="9">'
    return text if kind == "yolo" else f"{head}{text}</image></annotations>"


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("coco", {"segmentation": [[1, 1, 5, 5, 1e9, 0]]}, "1e+09 is no coordinate"),
        ("coco", {"segmentation": [[1, 1, 5, 5, float("nan"), 0]]}, "nan is no coordinate"),
        ("coco", {"bbox": [5, 5, -2, 3]}, "a box is -2 wide"),
        ("coco", {"segmentation": {"size": [9, 9], "counts": [80]}}, "80 pixels, not 9x9"),
        ("coco", {"bbox": [1] * 4, "image_id": 4}, "no image 4"),
        ("coco", {"bbox": [1] * 4, "top": {"images": [{"id": 1}] * 2}}, "images have the same id"),
        ("coco", {"bbox": [1] * 4, "top": {"annotations": {}}}, "its annotations are no list"),
        ("yolo", "0 40 50 10 10", "40 is no share of an image"),
        ("yolo", "0 nan .5 .1 .1", "nan is no coordinate"),
        ("yolo", "-1 .5 .5 .1 .1", "class -1 has no name in classes.txt, which has 2"),
        ("yolo", "2 .5 .5 .1 .1", "class 2 has no name in classes.txt, which has 2"),
        ("labelme", {"points": [[1, 1], [2, 2]], "shape_type": "cuboid"}, "'cuboid' is none of"),
        ("labelme", {"points": [[1, 1], [1, float("inf")], [2, 1]]}, "inf is no coordinate"),
        ("cvat", '<cuboid label="a"/>', "no mask can be made of a cuboid"),
        ("cvat", '<mask label="a" left="-1" top="0" width="1" height="1" rle="0,1"/>', "at -1, 0"),
        ("cvat", '<ellipse label="a" cx="1" cy="1" rx="0" ry="2"/>', "radii of 0 and 2"),
    ],
)
def test_what_no_image_holds(tmp_path, kind, text, message):
    """A line, where drawing it would end the process, take all memory, or wrap around."""
    file = tmp_path / "x"
    file.write_text(one(text, kind))
    (tmp_path / "classes.txt").write_text("a\nb\n")
    with pytest.raises(Problem) as error:
        list(READERS[kind](file))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (stored(np.ones((1, 1), bool)), "has a region of 1x1 in f and is 5x4"),
        (lambda *_: [][1], r"a region in f that cannot be drawn \(IndexError"),
    ],
)
def test_a_region_that_does_not_fit_its_image(draw, message):
    marked = Marked((Marks("x", (Region("a", draw),), file=Path("f")),), MaskOptions())
    with pytest.raises(Problem, match=message):
        marked.annotation(5, 4)


@pytest.mark.parametrize(
    ("said", "there", "fits"),
    [
        ("a/caf\u00e9.jpg", "cafe\u0301.png", True),  # as macOS's archives have it
        ("x.tif", "x.png", True),
        ("x", "x.png", True),
        ("x.1", "x.1.png", True),
        ("x.1", "x.png", False),
    ],
)
def test_a_name_is_that_of_its_image(said, there, fits):
    image = Path("images/cat") / there
    named = {normalize("NFC", image.stem): [image]}
    assert bool(_fitting(Marks(said), named)) == fits
