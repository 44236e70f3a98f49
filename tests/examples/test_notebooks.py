"""The notebooks run from top to bottom, and leave what they say."""

import runpy
from pathlib import Path

import matplotlib
import pytest
from PIL import Image

FOLDER = Path(__file__).parents[2] / "examples" / "notebooks"

#: What each leaves in the folder `notebook`, and a word that it prints.
LEAVES = {
    "attention_of_an_agent": (("frame.png", "episode.png"), "energy_inside"),
    "loss_on_a_map": ((), "weight 1.0"),
    "your_images": (("sheet.png", "explained.png"), "{'grad-cam'"),
    "statistics_of_a_study": (("profile.png",), "P(CAMAL > Vanilla)"),
}


def test_each_is_known():
    assert {file.stem for file in FOLDER.glob("*.py")} == set(LEAVES)


@pytest.mark.parametrize("name", LEAVES)
def test_it_runs(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    matplotlib.use("agg")
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    for long, short in (("2_000", "200"), ("range(60)", "range(30)"), ("--epochs 6", "--epochs 2")):
        text = text.replace(long, short)
    (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    found = runpy.run_path(f"{name}.py")
    pictures, said = LEAVES[name]
    assert said in capsys.readouterr().out
    for picture in pictures:
        with Image.open(tmp_path / "notebook" / picture) as opened:
            low, high = opened.convert("L").getextrema()
            assert low < high  # not one colour
    if name == "loss_on_a_map":  # with a weight of 1, the last one
        assert found["accuracy"] > 0.9
        assert found["inside"] > 0.6
