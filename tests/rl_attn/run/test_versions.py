"""What a run says it was made with."""

import subprocess

import torch

from rl_attn.run.versions import git_commit, versions


def git(folder, *command):
    who = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    return subprocess.run(
        ["git", "-C", str(folder), *who, *command], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_versions_name_the_package_python_torch_and_platform():
    found = versions()
    assert found["torch"] == torch.__version__
    assert set(found) == {"package", "python", "torch", "platform", "git_commit"}
    assert found["python"].startswith("3.")


def test_the_commit_is_that_of_the_repository_that_tracks_the_file(tmp_path):
    file = tmp_path / "code.py"
    file.write_text("1\n")
    assert git_commit(file) is None  # no repository
    git(tmp_path, "init", "-q")
    assert git_commit(file) is None  # one that does not know the file
    git(tmp_path, "add", "code.py")
    git(tmp_path, "commit", "-qm", "first")
    commit = git(tmp_path, "rev-parse", "HEAD")
    git(tmp_path, "tag", "-a", "v1", "-m", "a tag is not the commit")
    assert git_commit(file) == commit
    file.write_text("2\n")
    assert git_commit(file) == commit + "-dirty"


def test_without_git_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit(tmp_path / "code.py") is None
