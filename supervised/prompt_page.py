"""The page of `supervised.prompt`, made with Gradio."""

import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from rl_attn.pictures import heat
from rl_attn.run.device import pick_device
from rl_attn.supervised.page_server import free_port, gradio, server, upload_folder
from rl_attn.supervised.prompt import PromptSettings
from rl_attn.supervised.prompts import encode
from rl_attn.supervised.steering import RED, YELLOW, Answer, Steered, drawn

#: Pixels a side, and layers that are drawn on.
LARGEST, MOST_LAYERS = 4096, 4
#: Pixels a side at which maps are shown.
_SHOWN = 224


def refuse_oversized(file: Any) -> None:
    """ValueError if a file of the editor is not a picture, or too large, by its header alone."""
    if file is None:
        return
    source = BytesIO(file) if isinstance(file, bytes | bytearray) else file.path
    try:
        with Image.open(source) as picture:
            width, height = picture.size
    except (OSError, ValueError, Image.DecompressionBombError):
        raise ValueError("that is not a picture that can be read: take a PNG or a JPEG") from None
    if max(width, height) > LARGEST:
        raise ValueError(f"the picture is {width} x {height}: at most {LARGEST} pixels a side")


def guarded(editor: Any) -> Any:
    """An ImageEditor that looks at its files' headers before it decodes any.

    The instance is changed, since Gradio writes a file beside the source of every subclass.
    """
    decode = editor.preprocess

    def preprocess(payload: Any) -> Any:
        value = payload
        if payload is not None and payload.id is not None:
            value = editor.blob_storage.get(payload.id)
        if value is not None:
            layers = list(value.layers or [])
            try:
                if len(layers) > MOST_LAYERS:
                    raise ValueError(f"{len(layers)} layers: at most {MOST_LAYERS}")
                for file in (value.background, *layers, value.composite):
                    refuse_oversized(file)
            except ValueError as error:
                raise gradio().Error(str(error), print_exception=False) from None
        return decode(payload)

    editor.preprocess = preprocess
    return editor


def read(editor: dict[str, Any] | None) -> tuple[np.ndarray, np.ndarray]:
    """The picture (H, W, 3) and the prompt (H, W) of an editor's value. ValueError if there is
    none, or it is too large."""
    if not editor or editor["background"] is None:
        raise ValueError("load a picture first")
    picture = np.asarray(editor["background"])[..., :3]
    layers = editor["layers"] or []
    if any(layer.shape[:2] != picture.shape[:2] for layer in layers):
        raise ValueError("a layer is not of the picture's size: load the picture again")
    return picture, drawn(layers, picture.shape[:2])


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


def page(steered: Steered, scratch: Path) -> Any:
    """The page as Gradio's Blocks; saved prompts go into the folder `scratch`."""
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
        folder = tempfile.mkdtemp(dir=scratch)
        file = Path(folder) / "000000.png"
        Image.fromarray(encode(torch.from_numpy(prompt)).numpy()).save(file)
        return str(file)

    with gr.Blocks(title="VAPL", analytics_enabled=False, delete_cache=(600, 3600)) as blocks:
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
            guarded(editor)
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


def serve(args: PromptSettings) -> int:
    """Show the page until Ctrl-C; returns the exit status."""
    gradio()
    with free_port(args.port) as listener, upload_folder() as folder:
        steered = Steered(Path(args.run), pick_device(args.device))
        serving = server(page(steered, folder), folder, args.port)
        print(f"the page is at http://127.0.0.1:{args.port}; Ctrl-C ends it", flush=True)
        serving.run(sockets=[listener])
    return 0
