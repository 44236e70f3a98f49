"""The command that says what a data set holds."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rl_attn.errors import UserError
from rl_attn.supervised.check import main
from rl_attn.supervised.data import load
from rl_attn.supervised.data.sheet import DIMMED, Cell, contact_sheet


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of sizes of their own, 20 and 4 images, with a mask of each kind."""
    rng = np.random.default_rng(0)
    for label, number, side in (("cat", 20, 12), ("dog", 4, 16)):
        for i in range(number):
            write(tmp_path / f"images/{label}/{i}.png", rng.integers(256, size=(side, side, 3)))
            mask = np.zeros((side, side))
            mask[: i + 1] = 255
            write(tmp_path / f"masks/{label}/{i}.png", mask)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_a_folder_that_can_be_trained_on(folder, capsys):
    write(folder / "masks/cat/0.png", np.zeros((12, 12)))
    (folder / "images/cat/notes.txt").touch()
    sheet = folder / "sheet.png"
    assert main([str(folder), "--sheet", str(sheet), "--columns", "3"]) == 0
    lines = said(capsys)
    rows = {line.split("│")[1].strip(): line.split("│")[2:-1] for line in lines if "│" in line}
    numbers = {name: [cell.strip() for cell in row] for name, row in rows.items()}
    cat = 100 * (sum(range(2, 12)) / 12 + 9) / 20  # rows of 12: one empty, nine full, ten between
    assert numbers["cat"] == ["20", "14", "3", "3", "1", "9", f"{cat:.1f}%"]
    assert numbers["dog"] == ["4", "2", "1", "1", "0", "0", f"{100 * 10 / 64:.1f}%"]
    assert numbers["all"][:6] == ["24", "16", "4", "4", "1", "9"]
    assert "sizes: 12x12 (20), 16x16 (4)" in lines and "modes: RGB (24)" in lines
    assert "labels and levels of masks, by how many have them: 255 (23), 0 (15)" in lines
    assert "left out files that are not read (1 .txt)" in lines
    notes = [line.removeprefix("note: ") for line in lines if line.startswith("note: ")]
    for number, begins in enumerate(
        (
            "images are large, or of several sizes",
            "no two classes share an image size",
            "full masks do not say where to look: images/cat/11.png, images/cat/12.png",
            "cat has 20 images, dog 4: --class-weights balanced",
            "24 images are few",
        )
    ):
        assert notes[number].startswith(begins)
    assert lines[-1] == f"next   rl-attn train --data masked-folder --data-root {folder} --size 224"
    assert len(notes) == 5 and Image.open(sheet).width == 2 * (3 * 100) + 8


def test_everything_that_must_be_fixed_is_said_at_once(folder, capsys):
    write(folder / "masks/cat/0.png", np.full((12, 12), 7))
    write(folder / "masks/cat/1.png", np.zeros((3, 3)))
    (folder / "masks/dog/2.png").unlink()
    (folder / "images/dog/3.png").write_bytes(b"x")
    assert main([str(folder)]) == 1
    lines = said(capsys)
    faults = [line for line in lines if line.startswith("fix: ")]
    assert [line.split()[1] for line in faults] == [f"masks/cat/{i}.png" for i in (0, 1)] + [
        "masks/dog/2.png", "images/dog/3.png",
    ]  # fmt: skip
    assert "holds levels 7: say how they are meant by --data-options mask_label=N" in faults[0]
    assert any(line.split("│")[1:3] == [" all   ", "     23 "] for line in lines if "│" in line)


def test_too_few_pictures_are_said_where_nothing_else_is_wrong(folder, capsys):
    (folder / "images/dog/0.png").unlink()
    assert main([str(folder)]) == 1
    faults = [line for line in said(capsys) if line.startswith("fix: ")]
    assert len(faults) == 1 and "too few of dog (3)" in faults[0]


def test_a_class_without_pictures_to_train_on(tmp_path, capsys):
    """Its pictures could only be tested on, and are wrong for sure."""
    for split, labels in {"train": "ab", "val": "ab", "test": "abc"}.items():
        for label in labels:
            for i in range(4):
                write(tmp_path / split / label / f"{i}.png", np.full((12, 12, 3), i))
                write(tmp_path / split / label / f"{i}_mask.png", np.eye(12) * 255)
    assert main([str(tmp_path)]) == 1
    lines = said(capsys)
    row = next(line.split("│")[2:6] for line in lines if line.startswith("│ c "))
    assert [cell.strip() for cell in row] == ["4", "0", "0", "4"]
    fault = "fix: masked-folder: train has no picture of c: give it some, or leave the class out"
    assert any(line.startswith(fault) for line in lines)
    with pytest.raises(UserError, match="train has no picture of c"):
        load("masked-folder", tmp_path)


def test_pictures_that_look_alike(folder, capsys):
    for place in ("images/cat/20.png", "images/dog/4.png"):
        kind = place.replace("images", "masks")
        Image.open(folder / "images/cat/5.png").save(folder / place)
        Image.open(folder / "masks/cat/5.png").save(folder / kind)
    Image.open(folder / "images/cat/7.png").save(folder / "images/cat/8.png")
    assert main([str(folder)]) == 0
    lines = said(capsys)[-3:-1]
    assert "images/cat/20.png and images/cat/5.png (3 pictures in 1 groups)" in lines[0]
    assert "have two classes" in lines[0]
    assert "images/cat/7.png and images/cat/8.png (2 pictures in 1 groups)" in lines[1]


def test_a_set_by_name(tmp_path, capsys):
    sheet = tmp_path / "sheet.png"
    options = ["--data-options", "variant=rrr", "mask=not-patch"]
    assert main(["decoy-mnist", *options, "--sheet", str(sheet), "--columns", "1"]) == 0
    shown = "\n".join(said(capsys))
    assert "1,293" in shown and "sizes: 28x28" in shown and Image.open(sheet).height == 10 * 128


def test_a_format_of_a_strangers_own(folder, tmp_path, capsys):
    """Each line of a file: an image, and a row that matters."""
    (tmp_path / "rows.py").write_text(
        "import numpy as np\n"
        "from rl_attn.supervised.data.readers import READERS\n"
        "from rl_attn.supervised.data.readers.base import Marks, Region, box\n"
        "@READERS.register('rows')\n"
        "def rows(place):\n"
        "    for line in (place / 'rows.tsv').read_text().splitlines():\n"
        "        image, row = line.split()\n"
        "        yield Marks(image, (Region('row', box(0, int(row), 99, int(row) + 1)),))\n"
    )
    images = [p.relative_to(folder / "images") for p in sorted(folder.glob("images/*/*.png"))]
    (folder / "rows.tsv").write_text("".join(f"{path} 2\n" for path in images))
    flags = ["--import", str(tmp_path / "rows.py"), "--data-options", "format=rows"]
    assert main([str(folder), *flags]) == 0
    shown = capsys.readouterr().out
    assert f"{100 / 12:.1f}%" in shown and "row (24)" in shown


def test_names_are_no_markup(folder, capsys):
    (folder / "images/cat").rename(folder / "images/[bold]:smile:")
    (folder / "masks/cat").rename(folder / "masks/[bold]:smile:")
    assert main([str(folder)]) == 0
    assert "[bold]:smile:" in capsys.readouterr().out


def test_left_is_plain_and_right_is_dimmed():
    picture = np.random.default_rng(0).integers(256, size=(40, 40, 3), dtype=np.uint8)
    mask, known = np.zeros((40, 40), np.uint8), np.ones((40, 40), bool)
    mask[:, :20], known[30:] = 255, False
    sheet = contact_sheet({"cat": [Cell("a/b.png", picture, mask, known)], "dog": []})
    left, right = sheet[14:54, 4:44], sheet[14:54, 52:92]
    assert np.array_equal(left, picture) and sheet.shape == (2 * 72, 96, 3)
    assert np.array_equal(right[:30, :20], picture[:30, :20])
    assert np.abs(right[:30, 20:] - DIMMED * picture[:30, 20:]).max() < 1
    assert (right[30:, :, 2] >= 100).all()  # blue: unknown


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["digits", "--data-options", "size"], "--data-options takes key=value, got size"),
        (["digits", "--split", "tests"], r"unknown split 'tests' \(did you mean test\?\)"),
        (["digits", "--sheet", "/nowhere/x.png"], "its folder does not exist"),
        (["digits", "--sheet", "/"], "is a folder"),
        (["nothing"], "unknown data set 'nothing'"),
        (["DIR"], "looked for .*images/<class>"),
    ],
)
def test_mistakes(tmp_path, argv, message):
    argv = [str(tmp_path) if word == "DIR" else word for word in argv]
    with pytest.raises(UserError, match=message):
        main(argv)
