# %% [markdown]
# # Your images
#
# A folder of pictures with masks, looked at, trained on, and explained. Here the folder is made of
# scikit-learn's digits; put your own in its place.

# %% A folder
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

OUT = Path("notebook")
FOLDER = OUT / "pictures"
digits = load_digits()
for index in range(120):
    label = digits.target[index]
    if label > 2:
        continue
    grey = np.kron(digits.images[index] * 15.9, np.ones((4, 4))).astype(np.uint8)
    for kind, picture in (("images", grey), ("masks", (grey > 100) * np.uint8(255))):
        file = FOLDER / kind / str(label) / f"{index}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(file)

# %% [markdown]
# Look before anything is trained: the sheet shows pictures, and beside them the same with all but
# their masks dimmed.

# %% Look
from rl_attn.supervised import check

check.main([str(FOLDER), "--sheet", str(OUT / "sheet.png"), "--columns", "5"])

# %% Train
import rl_attn
from rl_attn.supervised import train

RUN = OUT / "classifier"
flags = f"--data masked-folder --data-root {FOLDER} --size 32 --backbone decoy-cnn --epochs 6"
if not RUN.exists():
    train.main([*flags.split(), "--batch-size", "8", "--device", "cpu", "--run-dir", str(RUN)])

# %% [markdown]
# One picture: what the network says, and where it looks.

# %% Explain
classifier = rl_attn.load(RUN, device="cpu")
picture = next((FOLDER / "images" / "0").iterdir())
found = classifier.explain(picture, mask=FOLDER / "masks" / "0" / picture.name)
print(found.label, round(found.probability, 2), found.overlap)
found.show().save(OUT / "explained.png")
