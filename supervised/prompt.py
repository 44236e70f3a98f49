"""A page to steer a trained model with: draw what is indispensable and what is precluded.

    python -m supervised.prompt runs/monsters/vapl-resnet18-s1-...

Load a picture, draw on it in red (indispensable) and yellow (precluded), and see the refined
prompt, both models' probabilities without and with it, and what each attends to. The prompt can be
saved as a mask file: `--masks FOLDER --prompts given` trains on such files, named 000000.png, ...
in FOLDER/train and FOLDER/validation.

The page is this machine's alone (127.0.0.1), loads nothing from elsewhere, and takes pictures of at
most 8 MB and 4,096 pixels a side. What was uploaded is removed when the page ends. It needs Gradio:
pip install 'rl-attn[page]'.
"""

from dataclasses import dataclass
from typing import Annotated

import tyro
from annotated_types import Interval

from rl_attn.run.cli import command, run_command
from rl_attn.run.settings import PathText


@dataclass
class PromptSettings:
    """Open a page on which a run's models are steered by drawing."""

    run: Annotated[PathText, tyro.conf.Positional]
    """folder of a run of supervised.train --method vapl"""
    port: Annotated[int, Interval(ge=1, le=65535)] = 7860
    """port of the page, which this machine alone can reach"""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N"""


@command(PromptSettings, "rl-attn prompt")
def main(args: PromptSettings) -> int:
    from rl_attn.supervised.prompt_page import serve

    return serve(args)


if __name__ == "__main__":
    run_command(main)
