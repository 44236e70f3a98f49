"""A program that cannot import Doom: a study of what is outside the package, and what follows it.

`test_environment.py` runs it. Words: a folder for what it leaves.
"""

import sys
from pathlib import Path

import yaml

sys.modules["vizdoom"] = None  # its import fails

from rl_attn import evaluate, random_policy, report, study  # noqa: E402

HERE, OUT = Path(__file__).parent, Path(sys.argv[1])
FILES = [str(HERE / name) for name in ("spotlight.py", "tiny_network.py", "shifts.py")]
CONTENT = {
    "command": "rl_attn.ppo",
    "arguments": {
        **{"num_envs": 2, "num_steps": 8, "num_minibatches": 1, "update_epochs": 1},
        **{"total_timesteps": 16, "device": "cpu", "threads": 1, "precision": "fp32"},
        **{"import": FILES, "env": "Spotlight-v0", "network": "tiny"},
    },
    "grid": {"method": {"Shifts": {"method": "shifts"}}},
    "seeds": [1],
    "report": {"compare": "method", "metrics": [{"name": "iou", "label": "IoU"}]},
}


def main() -> None:
    file, folder = OUT / "study.yaml", OUT / "study"
    file.write_text(yaml.safe_dump(CONTENT))
    assert study.main([str(file), "--out", str(folder), "--workers", "1"]) == 0
    (run,) = (path.parent for path in folder.glob("cells/*/config.yaml"))
    played = [str(run), "--episodes", "3", "--device", "cpu", "--threads", "1"]
    assert evaluate.main([*played, "--num-envs", "2"]) == 0
    assert (
        evaluate.main([*played, "--num-envs", "1", "--no-video", "--out", str(OUT / "alone")]) == 0
    )
    env = ["--env", "Spotlight-v0", "--import", FILES[0], "--episodes", "3"]
    assert random_policy.main([*env, "--out", str(OUT / "random")]) == 0
    assert report.main([str(folder), "--resamples", "10"]) == 0


if __name__ == "__main__":  # environments are processes that import this again
    main()
