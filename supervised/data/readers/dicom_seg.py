"""DICOM SEG: the segments that lie on each image, by the labels of their descriptions.

A SEG names its images by UID, so these are DICOM files, too, of one frame each, below the same
folder; keep the SEG files out of the folder `images`. Read by highdicom.

    images/cat/1.dcm  images/dog/2.dcm  seg.dcm      format=dicom-seg image_range=-150,250
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from rl_attn.supervised.data.prepare.dicom import needs_extra
from rl_attn.supervised.data.prepare.dicom import read as read_dicom
from rl_attn.supervised.data.readers import READERS
from rl_attn.supervised.data.readers.base import Marks, Region, read_files, stored


@READERS.register("dicom-seg")
def read(place: Path) -> Iterator[Marks]:
    folder = place if place.is_dir() else place.parent
    headers = {file: read_dicom(file, pixels=False) for file in sorted(folder.rglob("*.dcm"))}
    images = {
        str(header.SOPInstanceUID): file
        for file, header in headers.items()
        if header.get("Modality") != "SEG"
    }
    segs = {file for file, header in headers.items() if header.get("Modality") == "SEG"}
    return read_files("DICOM SEG", place, ".dcm", partial(_parse, images, segs))


def _parse(images: Mapping[str, Path], segs: set[Path], file: Path) -> list[Marks] | None:
    if file not in segs:
        return None
    try:
        from highdicom.seg import segread
    except ImportError:
        raise needs_extra("highdicom") from None
    seg = segread(file)
    labels = [str(seg.get_segment_description(n).segment_label) for n in seg.segment_numbers]
    found = []
    for _, _, uid in seg.get_source_image_uids():
        masks = seg.get_pixels_by_source_instance(
            [uid], ignore_spatial_locations=True, assert_missing_frames_are_empty=True
        )[0]  # (H, W, segments)
        regions = tuple(
            Region(label, stored(masks[..., i] > 0))
            for i, label in enumerate(labels)
            if masks[..., i].any()
        )
        image = str(images.get(str(uid), uid))
        found.append(Marks(image, regions, (), (masks.shape[1], masks.shape[0]), file))
    return found
