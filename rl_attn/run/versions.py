"""What a run was made with: enough to say later why two runs differ."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import torch


def versions() -> dict[str, str | None]:
    """The package, python, torch, the platform, and the commit of the code where it has one.

    The commit ends in `-dirty` where tracked files differ from it; it is None for an installed
    package, even one that lies inside somebody else's repository.
    """
    try:
        package = metadata.version("rl-attn")
    except metadata.PackageNotFoundError:  # run from a folder that was never installed
        package = None
    return {
        "package": package,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "platform": platform.platform(),
        "git_commit": git_commit(Path(__file__)),
    }


def git_commit(file: Path) -> str | None:
    """The commit of the repository that tracks `file`; None without git or repository."""
    options: dict[str, Any] = {"capture_output": True, "text": True, "check": True, "timeout": 10}
    git, commit = ["git", "-C", str(file.parent)], ["--abbrev=40", "--exclude=*"]
    try:
        subprocess.run([*git, "ls-files", "--error-unmatch", file.name], **options)
        named = subprocess.run([*git, "describe", "--always", "--dirty", *commit], **options)
    except (OSError, subprocess.SubprocessError):
        return None
    return named.stdout.strip()
