# %% [markdown]
# # The statistics of a study
#
# A study leaves `results.csv`, one row a run. `rl-attn report` makes a page of it; this is how to
# ask questions of your own. The scores below are drawn; read your file in their place:
#
#     table = pandas.read_csv("runs/studies/NAME/results.csv")

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas

from rl_attn.statistics import (
    bootstrap,
    mean_interval,
    performance_profile,
    probability_of_improvement,
)

OUT = Path("notebook")
OUT.mkdir(exist_ok=True)
drawn = np.random.default_rng(0)
table = pandas.DataFrame(
    [
        {"env": env, "method": method, "seed": seed, "score": drawn.normal(level, 0.3)}
        for env in ("Basic", "DefendLine", "TakeCover")
        for method, level in (("Vanilla", 0.5), ("CAMAL", 0.7))
        for seed in range(1, 6)
    ]
)

# %% [markdown]
# Each task by itself: mean and 95 % interval over seeds.

# %%
print(table.groupby(["env", "method"]).score.apply(lambda scores: str(mean_interval(list(scores)))))

# %% [markdown]
# All tasks together: matrices of tasks x runs. Scores must be normalised for this, so that a task
# with large returns does not outweigh all others.


# %%
def matrix(method: str) -> np.ndarray:
    return table[table.method == method].pivot(index="env", columns="seed", values="score").values


ours, theirs = matrix("CAMAL"), matrix("Vanilla")
print("IQM of CAMAL:", bootstrap(ours, "iqm", np.random.default_rng(0), resamples=2000))
better = probability_of_improvement(ours, theirs, np.random.default_rng(0), resamples=2000)
print("P(CAMAL > Vanilla):", better, "decided" if better.significant else "undecided")

# %% [markdown]
# A profile shows the whole distribution: the share of runs above each score.

# %%
ends = np.linspace(0, 1.5, 31)
for name, scores in (("CAMAL", ours), ("Vanilla", theirs)):
    profile = performance_profile(scores, ends, np.random.default_rng(0), resamples=200)
    plt.plot(ends, profile.values, label=name)
    plt.fill_between(ends, profile.low, profile.high, alpha=0.2)
plt.xlabel("score")
plt.ylabel("share of runs above")
plt.legend()
plt.savefig(OUT / "profile.png")
