"""One set in every format, written by the format's own library where there is one that is light.

Each writes what it says of the images into a folder and returns the masks that its own tools make
of that: bool (H, W) each.
"""

import base64
import io
import json
from pathlib import Path
from xml.etree import ElementTree

import cv2
import nibabel
import numpy as np
from conftest import HEIGHT, WIDTH, drawn, names, outline
from PIL import Image
from pycocotools import mask as coco_masks
from pycocotools.coco import COCO

FLAT = [[float(v) for point in outline(i) for v in point] for i in range(8)]


def _coco(root: Path, segmentations: list, boxes: bool = False) -> list[np.ndarray]:
    data = {"images": [], "annotations": [], "categories": [{"id": 7, "name": "lesion"}]}
    for i, name in enumerate(names()):
        data["images"].append({"id": i, "file_name": name, "width": WIDTH, "height": HEIGHT})
        entry = {"id": i + 1, "image_id": i, "category_id": 7, "iscrowd": 0, "area": 1}
        x0, y0 = np.min(outline(i), 0).tolist()
        x1, y1 = np.max(outline(i), 0).tolist()
        entry["bbox"] = [x0, y0, x1 - x0, y1 - y0]
        data["annotations"].append(entry | ({} if boxes else {"segmentation": segmentations[i]}))
    file = root / "instances.json"
    file.write_text(json.dumps(data))
    if boxes:
        found = [np.zeros((HEIGHT, WIDTH), bool) for _ in names()]
        for on, entry in zip(found, data["annotations"], strict=True):
            x, y, width, height = entry["bbox"]
            on[y : y + height, x : x + width] = True
        return found
    own = COCO(str(file))
    return [own.annToMask(entry).astype(bool) for entry in data["annotations"]]


def coco_polygons(root: Path) -> list[np.ndarray]:
    return _coco(root, [[ring] for ring in FLAT])


def coco_rle(root: Path) -> list[np.ndarray]:
    packed = [coco_masks.encode(np.asfortranarray(drawn(i).astype(np.uint8))) for i in range(8)]
    found = _coco(root, [{**p, "counts": p["counts"].decode()} for p in packed])
    assert all(np.array_equal(a, drawn(i)) for i, a in enumerate(found))
    return found


def coco_counts(root: Path) -> list[np.ndarray]:
    """Run lengths that are not compressed, column by column."""
    shapes = []
    for i in range(8):
        flat = drawn(i).flatten(order="F")
        edges = np.flatnonzero(np.diff(flat, prepend=False))
        runs = np.diff([0, *edges, len(flat)]).tolist()
        shapes.append({"size": [HEIGHT, WIDTH], "counts": runs})
    _coco(root, shapes)
    return [drawn(i) for i in range(8)]


def coco_boxes(root: Path) -> list[np.ndarray]:
    return _coco(root, [], boxes=True)


def yolo(root: Path) -> list[np.ndarray]:
    _by_class(root, "yolo")
    return [drawn(i) for i in range(8)]


def labelme(root: Path) -> list[np.ndarray]:
    _by_class(root, "labelme")
    return [drawn(i) for i in range(8)]


def _by_class(root: Path, form: str) -> None:
    """By supervision, which goes by the files' names alone: a folder a class."""
    import supervision as sv

    for first, label in ((0, "cat"), (4, "dog")):
        found, images = {}, []
        for i in range(4):
            path, mask = str(root / "images" / label / f"{i}.png"), drawn(first + i)[None]
            found[path] = sv.Detections(
                xyxy=sv.mask_to_xyxy(mask).astype(float), mask=mask, class_id=np.array([0])
            )
            images.append(path)
        dataset = sv.DetectionDataset(classes=["lesion"], images=images, annotations=found)
        place = root / "labels" / label
        if form == "yolo":
            dataset.as_yolo(
                annotations_directory_path=str(place), data_yaml_path=str(root / "data.yaml")
            )
        else:
            dataset.as_labelme(annotations_directory_path=str(place))


def yolo_boxes(root: Path) -> list[np.ndarray]:
    found = coco_boxes(root)
    (root / "instances.json").unlink()
    (root / "data.yaml").write_text("names: {0: lesion}\n")
    for name, on in zip(names(), found, strict=True):
        x, y, width, height = cv2.boundingRect(on.astype(np.uint8))
        shares = (x + width / 2) / WIDTH, (y + height / 2) / HEIGHT, width / WIDTH, height / HEIGHT
        file = (root / "labels" / name).with_suffix(".txt")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"0 {' '.join(map(repr, shares))}\n")
    return found


def labelme_masks(root: Path) -> list[np.ndarray]:
    """The shape that labelme's assisted annotation makes: a PNG of a window."""
    for i, name in enumerate(names()):
        rows, columns = np.nonzero(drawn(i))
        window = drawn(i)[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        png = io.BytesIO()
        Image.fromarray(window).save(png, "PNG")
        corners = [[columns.min(), rows.min()], [columns.max(), rows.max()]]
        shape = {
            "label": "lesion",
            "shape_type": "mask",
            "points": [list(map(float, corner)) for corner in corners],
            "mask": base64.b64encode(png.getvalue()).decode(),
        }
        point = {"label": "tip", "shape_type": "point", "points": [[1, 1]]}
        file = (root / "images" / name).with_suffix(".json")
        file.write_text(json.dumps({"shapes": [shape, point], "imagePath": Path(name).name}))
    return [drawn(i) for i in range(8)]


def _cvat(root: Path, shapes: list[tuple[str, dict[str, str]]]) -> None:
    tree = ElementTree.Element("annotations")
    for i, (name, (kind, values)) in enumerate(zip(names(), shapes, strict=True)):
        size = {"width": str(WIDTH), "height": str(HEIGHT)}
        image = ElementTree.SubElement(tree, "image", {"id": str(i), "name": name, **size})
        ElementTree.SubElement(image, kind, {"label": "lesion", **values})
        ElementTree.SubElement(image, "points", {"label": "tip", "points": "1,1"})
    ElementTree.ElementTree(tree).write(root / "annotations.xml")


def cvat_polygons(root: Path) -> list[np.ndarray]:
    texts = [";".join(f"{x:.2f},{y:.2f}" for x, y in outline(i)) for i in range(8)]
    _cvat(root, [("polygon", {"points": text}) for text in texts])
    return [_filled(ring) for ring in FLAT]


def cvat_masks(root: Path) -> list[np.ndarray]:
    shapes = []
    for i in range(8):
        rows, columns = np.nonzero(drawn(i))
        top, left, bottom, right = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
        flat = drawn(i)[top:bottom, left:right].flatten()
        edges = np.flatnonzero(np.diff(flat, prepend=False))
        rle = ", ".join(map(str, np.diff([0, *edges, len(flat)])))
        window = {"left": left, "top": top, "width": right - left, "height": bottom - top}
        shapes.append(("mask", {"rle": rle, **{k: str(v) for k, v in window.items()}}))
    _cvat(root, shapes)
    return [drawn(i) for i in range(8)]


def _filled(ring: list[float]) -> np.ndarray:
    return coco_masks.decode(coco_masks.frPyObjects([ring], HEIGHT, WIDTH))[..., 0].astype(bool)


def _label_studio(root: Path, kind: str, values: list[dict]) -> None:
    tasks = []
    for i, name in enumerate(names()):
        result = {
            "type": kind,
            "original_width": WIDTH,
            "original_height": HEIGHT,
            "value": {**values[i], kind: ["lesion"]},
        }
        data = {"image": f"/data/local-files/?d=pictures/{name}"}
        skipped = {"was_cancelled": True, "result": []}
        tasks.append({"data": data, "annotations": [skipped, {"result": [result]}]})
    (root / "export.json").write_text(json.dumps(tasks))


def label_studio_polygons(root: Path) -> list[np.ndarray]:
    shares = [[[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in outline(i)] for i in range(8)]
    _label_studio(root, "polygonlabels", [{"points": points} for points in shares])
    return [_filled(ring) for ring in FLAT]


def label_studio_brushes(root: Path) -> list[np.ndarray]:
    _label_studio(root, "brushlabels", [{"rle": packed(drawn(i))} for i in range(8)])
    return [drawn(i) for i in range(8)]


def packed(mask: np.ndarray) -> list[int]:
    """rle-pack of the RGBA picture of a mask: words of 8 bits, runs of up to 2^4 of equal levels,
    and the first pixel as a run of levels that are not equal."""
    levels = np.repeat(mask.flatten() * np.uint8(255), 4).tolist()
    bits = f"{len(levels):032b}{7:05b}" + "".join(f"{n - 1:04b}" for n in (2, 4, 8, 16))
    bits += f"0{0:02b}{3:02b}" + "".join(f"{level:08b}" for level in levels[:4])
    at = 4
    while at < len(levels):
        run = 1
        while run < 16 and at + run < len(levels) and levels[at + run] == levels[at]:
            run += 1
        bits += f"1{1:02b}{run - 1:04b}{levels[at]:08b}"
        at += run
    bits += "0" * (-len(bits) % 8)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]


def nifti(root: Path) -> list[np.ndarray]:
    """As ITK writes what was drawn on an image file; some with a third axis."""
    for i, name in enumerate(names()):
        file = (root / "labels" / name).with_suffix((".nii.gz", ".nii")[i % 2])
        file.parent.mkdir(parents=True, exist_ok=True)
        labels = drawn(i).T.astype(np.uint8) * 3
        image = nibabel.Nifti1Image(labels[..., None] if i % 3 else labels, np.diag([-1, -1, 1, 1]))
        nibabel.save(image, file)
    return [drawn(i) for i in range(8)]


WRITERS = {
    "coco": (coco_polygons, coco_rle, coco_counts, coco_boxes),
    "yolo": (yolo, yolo_boxes),
    "labelme": (labelme, labelme_masks),
    "cvat": (cvat_polygons, cvat_masks),
    "nifti": (nifti,),
    "label-studio": (label_studio_polygons, label_studio_brushes),
}
