"""A seeded generator of malformed folders: each is refused in one line that names what is wrong, or
loaded right, pixel by pixel. None may end otherwise: no traceback, nothing wrong without a word."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from malformed_pictures import ARRAYS, FILES, FOLDERS, expected_of, loaded, make
from PIL import Image

from rl_attn.errors import UserError
from rl_attn.supervised.data import load
from rl_attn.supervised.data.annotations import MaskOptions, MaskReader
from rl_attn.supervised.data.fit import fitted_annotation
from rl_attn.supervised.data.images import Problem, open_picture
from rl_attn.supervised.data.replaced import with_masks


def outcome(root: Path, expected: set[tuple[bytes, bytes]], names: str) -> None:
    """Refused in one line with one of `names` in it (by |), or loaded right."""
    try:
        found = loaded(root)
    except UserError as error:
        message = str(error)
        assert "\n" not in message and any(name in message for name in names.split("|")), message
        return
    assert found == expected


@pytest.mark.parametrize(
    ("file", "name", "change", "seed"), FILES, ids=[f"{f[0]}-{f[1]}-{f[3]}" for f in FILES]
)
def test_files(tmp_path, file, name, change, seed):
    expected = make(tmp_path)
    change(tmp_path / file, np.random.default_rng(seed))
    expected = expected_of(file, name, expected)
    outcome(tmp_path, expected, "cat/2.png|some masks hold 0 and 1|images are |cat (3)")


@pytest.mark.parametrize("name", FOLDERS)
def test_folders(tmp_path, name):
    change, named = FOLDERS[name]
    expected = make(tmp_path)
    change(tmp_path)
    if not named:
        assert loaded(tmp_path) == expected
        return
    with pytest.raises(UserError) as error:
        loaded(tmp_path)
    assert named in str(error.value) and str(error.value).isprintable()


@pytest.mark.parametrize("root", ["nowhere", "file"])
def test_no_folder(tmp_path, root):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=root):
        load("masked-folder", tmp_path / root)


def test_what_is_left_out_is_told(tmp_path):
    make(tmp_path)
    for name in ("hidden class", "text", "unread ending", "class of text", "spare mask"):
        FOLDERS[name][0](tmp_path)
    assert load("masked-folder", tmp_path).notes == (
        "left out hidden folders .ipynb_checkpoints",
        "left out folders without images cow",
        "left out files that are not read (1 .heic, 1 .txt)",
        "left out 1 masks without an image",
    )


@pytest.fixture(scope="module")
def digits():
    return load("digits")


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(tmp_path, digits, name):
    ARRAYS[name](tmp_path / "train.npy")
    with pytest.raises(UserError) as error:
        with_masks(digits, tmp_path, ("train",))
    assert str(tmp_path) in str(error.value) and "\n" not in str(error.value)


# ---------------------------------------------------------------- whatever comes

TEXT = st.text(max_size=12) | st.from_regex(r"-?\d{0,3}(,-?\d{0,3}){0,3}", fullmatch=True)


@settings(max_examples=150, deadline=None, database=None, derandomize=True)
@given(
    st.sampled_from(["ask", "binary", "soft", "label", "trimap", "painted", "alpha"]),
    st.fixed_dictionaries(
        {},
        optional={
            f"mask_{name}": TEXT for name in ("label", "unknown", "colour", "background", "range")
        },
    ),
)
def test_options_are_taken_or_refused(kind, options):
    try:
        taken = MaskOptions.of(mask_kind=kind, **options)
    except UserError as error:
        assert "mask_" in str(error)
        return
    assert kind in ("ask", taken.kind)


@settings(max_examples=60, deadline=None, database=None, derandomize=True)
@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"II*\0", b"BM", b"\xff\xd8\xff", b"RIFF"]),
)
def test_bytes_are_refused(tmp_path_factory, data, magic):
    path = tmp_path_factory.mktemp("bytes") / "x.png"
    path.write_bytes(magic + data)
    with pytest.raises(Problem, match=r"x\.png cannot be read"):
        open_picture(path)


@settings(max_examples=60, deadline=None, database=None, derandomize=True)
@given(
    st.lists(st.sampled_from([0, 128, 255]), min_size=4, max_size=40),
    st.integers(1, 9),
    st.integers(1, 12),
    st.sampled_from(["letterbox", "crop", "stretch"]),
)
def test_unknown_pixels_never_count(row, height, side, fit):
    """What is known keeps between its extremes at any size; what is not has the value 0; a file
    that knows nothing stays so."""
    trimap = np.repeat(np.array([row], np.uint8), height, 0)
    annotation = MaskReader(MaskOptions("trimap"))(Image.fromarray(trimap))
    small = fitted_annotation(annotation, side, fit)
    assert small.values.shape == (side, side)
    if small.known is None:
        assert 128 not in row
        return
    assert not small.values[~small.known].any()
    if set(row) == {128}:
        assert not small.known.any()
    if 0 not in row and fit != "letterbox":  # white and unknown: what is known is white
        assert (small.values[small.known] >= 250).all()
