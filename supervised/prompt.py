"""A page to steer a trained model with: draw what is indispensable and what is precluded.

    python -m supervised.prompt runs/monsters/vapl-resnet18-s1-...

Load a picture, draw on it in red (indispensable) and yellow (precluded), and see the refined
prompt, both models' probabilities without and with it, and what each attends to. The prompt can be
saved as a mask file: `--masks FOLDER --prompts given` trains on such files, named 000000.png, ...
in FOLDER/train and FOLDER/validation.

The page is this machine's alone (127.0.0.1), loads nothing from elsewhere, and takes pictures of at
most 8 MB and 4,096 pixels a side. It needs Gradio: pip install 'rl-attn[page]'.
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from PIL import Image

from rl_attn.errors import UserError
from rl_attn.pictures import heat
from rl_attn.run.cli import parse, run_command
from rl_attn.run.device import pick_device
from rl_attn.supervised.prompts import encode
from rl_attn.supervised.steering import RED, YELLOW, Answer, Steered, drawn

#: Pixels a side, and bytes of an upload.
LARGEST, MOST_BYTES = 4096, 8 * 2**20
#: Pixels a side at which maps are shown.
_SHOWN = 224


@dataclass
class Args:
    """Open a page on which a run's models are steered by drawing."""

    run: Annotated[str, tyro.conf.Positional]
    """folder of a run of supervised.train --method vapl"""
    port: int = 7860
    """of the page, on this machine alone"""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N"""


def gradio() -> Any:
    """The library, told not to report on its users; a UserError where it is not installed."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    try:
        import gradio
    except ImportError:
        raise UserError("the page needs Gradio: pip install 'rl-attn[page]'") from None
    return gradio


def read(editor: dict[str, Any] | None) -> tuple[np.ndarray, np.ndarray]:
    """The picture (H, W, 3) and the prompt (H, W) of an editor's value. ValueError if there is
    none, or it is too large."""
    if not editor or editor["background"] is None:
        raise ValueError("load a picture first")
    picture = np.asarray(editor["background"])[..., :3]
    if max(picture.shape[:2]) > LARGEST:
        height, width = picture.shape[:2]
        raise ValueError(f"the picture is {width} x {height}: at most {LARGEST} pixels a side")
    return picture, drawn(editor["layers"] or [], picture.shape[:2])


def shown(steered: Steered, answer: Answer) -> list[Any]:
    """What the page's outputs show, in their order."""
    labels = [
        dict(zip(steered.classes, map(float, p), strict=True))
        for p in (answer.plain, answer.before, answer.after)
    ]
    picture = np.asarray(Image.fromarray(answer.picture).resize((_SHOWN, _SHOWN)))
    grey = (answer.refined * 255).round().astype(np.uint8)
    refined = np.asarray(Image.fromarray(grey).resize((_SHOWN, _SHOWN)))
    maps = [heat(picture, m) for m in (answer.plain_attention, answer.prompted_attention)]
    return [*labels, refined, *maps]


def page(steered: Steered) -> Any:
    """The page as Gradio's Blocks."""
    gr = gradio()

    def predict(editor):
        try:
            picture, prompt = read(editor)
        except ValueError as error:
            raise gr.Error(str(error), print_exception=False) from None
        return shown(steered, steered(picture, prompt))

    def save(editor):
        try:
            _, prompt = read(editor)
        except ValueError as error:
            raise gr.Error(str(error), print_exception=False) from None
        folder = tempfile.mkdtemp(dir=scratch.name)
        file = Path(folder) / "000000.png"
        Image.fromarray(encode(torch.from_numpy(prompt)).numpy()).save(file)
        return str(file)

    scratch = tempfile.TemporaryDirectory(prefix="rl-attn-prompts-")
    with gr.Blocks(title="VAPL", analytics_enabled=False, delete_cache=(3600, 86400)) as blocks:
        blocks.scratch = scratch  # goes with the page
        gr.Markdown("Draw **red** on what is indispensable, **yellow** on what is precluded.")
        with gr.Row():
            editor = gr.ImageEditor(
                label="Picture and prompt",
                type="numpy",
                image_mode="RGBA",
                sources=["upload"],
                brush=gr.Brush(12, [RED, YELLOW], RED, "fixed"),
                layers=False,
                transforms=[],
                elem_id="editor",
            )
            with gr.Column():
                predict_button = gr.Button("Predict", variant="primary", elem_id="predict")
                names = {
                    "plain": "Plain model",
                    "before": "Prompted model, nothing said",
                    "after": "Prompted model, with your prompt",
                }
                labels = [gr.Label(label=n, elem_id=i) for i, n in names.items()]
        with gr.Row():
            titles = ("Refined prompt", "Plain model's attention", "Prompted model's attention")
            ids = ("refined", "plain-attention", "prompted-attention")
            images = [
                gr.Image(label=t, elem_id=i, interactive=False, buttons=[])
                for t, i in zip(titles, ids, strict=True)
            ]
        with gr.Row():
            save_button = gr.Button("Save the prompt as a mask", elem_id="save")
            file = gr.File(label="Mask file", elem_id="mask", interactive=False)
        predict_button.click(predict, editor, [*labels, *images])
        save_button.click(save, editor, file)
    return blocks


def launch(blocks: Any, port: int, block: bool = True) -> None:
    """Serve the page on this machine, until interrupted if `block`."""
    gr = gradio()
    fonts = {"font": ["sans-serif"], "font_mono": ["monospace"]}  # the default's are fetched
    blocks.launch(
        server_name="127.0.0.1",
        server_port=port,
        share=False,
        max_file_size=MOST_BYTES,
        allowed_paths=[blocks.scratch.name],
        theme=gr.themes.Default(**fonts),
        footer_links=[],
        quiet=True,
        prevent_thread_lock=not block,
    )


def main(argv: list[str]) -> int:
    args = parse(Args, argv, "rl-attn prompt")
    if not 0 < args.port < 65536:
        raise UserError(f"--port must be 1 to 65535, got {args.port}")
    gradio()
    steered = Steered(Path(args.run), pick_device(args.device))
    print(f"the page is at http://127.0.0.1:{args.port}; Ctrl-C ends it", flush=True)
    try:
        launch(page(steered), args.port)
    except OSError as error:
        raise UserError(f"port {args.port} cannot be had ({error}): take another --port") from None
    return 0


if __name__ == "__main__":
    run_command(main)
