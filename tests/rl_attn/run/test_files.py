import os

import pytest

from rl_attn.run.files import replacing, sweep, write_text


def files(path):
    """Every file of a run, by its path within it."""
    return sorted(str(p.relative_to(path)) for p in path.rglob("*") if p.is_file())


def test_write_text_replaces_and_removes(tmp_path):
    file = tmp_path / "a.txt"
    write_text(file, "first")
    write_text(file, "zweite Fassung, größer")
    assert file.read_text(encoding="utf-8") == "zweite Fassung, größer"
    write_text(file, None)
    write_text(file, None)
    assert files(tmp_path) == []


def test_text_that_cannot_be_written_leaves_the_old(tmp_path):
    file = tmp_path / "a.txt"
    write_text(file, "first")
    with pytest.raises(UnicodeEncodeError):
        write_text(file, "second \udc80")
    assert file.read_text() == "first" and files(tmp_path) == ["a.txt"]


def test_sweep_leaves_what_a_living_process_writes_beside_the_checkpoints(tmp_path):
    mine, dead = os.getpid(), 2**22 + 1
    (tmp_path / "checkpoints").mkdir()
    names = [f".evaluation.mp4.{mine}", f".config.yaml.{dead}", ".rl-attn", ".s1.stop", "a.7"]
    names += [f"checkpoints/.step_1.pt.{mine}", "checkpoints/step_1.pt"]
    for name in names:
        (tmp_path / name).write_text("x")
    sweep(tmp_path)
    kept = [".evaluation.mp4." + str(mine), ".rl-attn", ".s1.stop", "a.7", "checkpoints/step_1.pt"]
    assert files(tmp_path) == sorted(kept)


def test_replacing_leaves_the_old_file_and_no_scratch_when_the_block_fails(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "a") as scratch:
        scratch.write_text("half")
        raise ZeroDivisionError
    assert files(tmp_path) == ["a"] and (tmp_path / "a").read_text() == "old"
