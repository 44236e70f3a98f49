"""What a run was made with: enough to say later why two runs differ."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path

import torch


def versions() -> dict[str, str | None]:
    """The package, python, torch, the platform, and the commit of the code where it has one.

    The commit ends in `-dirty` where tracked files differ from it; it is None for an installed
    package, even one that lies inside somebody else's repository.
    """
    return {
        "package": _package_version(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "platform": platform.platform(),
        "git_commit": git_commit(Path(__file__)),
    }


def git_commit(file: Path) -> str | None:
    """The commit of the repository that tracks `file`; None without git or repository."""
    if _git(file.parent, "ls-files", "--error-unmatch", file.name) is None:
        return None
    return _git(file.parent, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def _git(folder: Path, *command: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *command], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _package_version() -> str | None:
    try:
        return metadata.version("rl-attn")
    except metadata.PackageNotFoundError:  # run from a folder that was never installed
        return None
