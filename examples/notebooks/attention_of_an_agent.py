# %% [markdown]
# # The attention of an agent
#
# Train an agent for a moment, play one episode, and see in each frame what its value attends to.
# Each `# %%` is a cell: open this file as a notebook (VS Code, Jupytext), or run it as it is.

# %% Train
from pathlib import Path

import matplotlib.pyplot as plt
import torch

import rl_attn
from rl_attn import ppo
from rl_attn.attention import measure

OUT = Path("notebook")
STEPS = 2_000  # enough to see that all works; 100,000 and more to see an agent that plays

flags = f"--env Basic --camal 0.1 --total-timesteps {STEPS} --frame-size 84x84 --num-envs 4"
if not (OUT / "agent").exists():
    ppo.main([*flags.split(), "--num-steps", "50", "--device", "cpu", "--run-dir", f"{OUT}/agent"])
agent = rl_attn.load(OUT / "agent", device="cpu")

# %% [markdown]
# An environment is a gymnasium one whose observation has a frame and a mask.

# %% Play
import gymnasium

env = gymnasium.make("rl_attn.envs:rl_attn/Basic-v0")
observation, _ = env.reset(seed=1)
found, masks = [], []
for _ in range(6):
    found.append(agent.explain(observation["frame"]))
    masks.append(torch.from_numpy(observation["mask"]))
    observation, *_ = env.step(1)  # to the left
env.close()

# %% [markdown]
# Where it looks: the map over the frame, brighter where the evidence for the value is stronger.

# %% Look
found[0].show().save(OUT / "frame.png")

returned, axes = plt.subplots(1, len(found), figsize=(12, 2.4))
for axis, one in zip(axes, found, strict=True):
    axis.imshow(one.image)
    axis.imshow(next(iter(one.maps.values())), cmap="inferno", alpha=0.5, vmin=0, vmax=1)
    axis.set_title(f"{one.label}, V = {one.scores['value']:.2f}", fontsize=8)
    axis.axis("off")
returned.savefig(OUT / "episode.png")

# %% [markdown]
# As a number: the share of the attention that lies on the monster.

# %% Measure
attention = next(iter(found[0].attentions.values()))
measured = measure(attention, masks[0][None])
print({name: round(value.item(), 3) for name, value in measured.items()})
