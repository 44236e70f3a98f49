"""Serves a Gradio page to this machine alone, and leaves nothing behind.

Gradio's own server answers any Host, so another site could rebind its name to 127.0.0.1 and read
the answers (DNS rebinding). It checks at its start that it can reach itself, which a proxy breaks,
and it keeps uploads after its end. Here uvicorn serves the page behind `Guard`, and uploads lie in
a folder that is removed with the page.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rl_attn.errors import UserError
from rl_attn.run.local_page import free_port, refusal

__all__ = ["Guard", "free_port", "gradio", "server", "size_of", "upload_folder"]

#: Bytes of one upload, and of all that lie on disk at once.
MOST_BYTES, MOST_IN_ALL = 8 * 2**20, 256 * 2**20


def gradio() -> Any:
    """The library, told not to report on its users; a UserError where it is not installed."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    try:
        import gradio
    except ImportError:
        raise UserError("the page needs Gradio: pip install 'rl-attn[page]'") from None
    return gradio


@contextmanager
def upload_folder() -> Iterator[Path]:
    """Within the block, where Gradio keeps uploads and answers; removed at its end."""
    before = os.environ.get("GRADIO_TEMP_DIR")
    with tempfile.TemporaryDirectory(prefix="rl-attn-page-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        try:
            yield Path(folder)
        finally:
            os.environ.pop("GRADIO_TEMP_DIR")
            if before is not None:
                os.environ["GRADIO_TEMP_DIR"] = before


class Guard:
    """ASGI middleware: 403 to a foreign Host or Origin, 413 to uploads when the folder is full."""

    def __init__(self, app: Any, port: int, folder: Path):
        self.app, self.port, self.folder = app, port, folder

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        refusal = self.refusal(scope)
        if refusal is None:
            return await self.app(scope, receive, send)
        from starlette.responses import PlainTextResponse

        status, reason = refusal
        return await PlainTextResponse(reason, status)(scope, receive, send)

    def refusal(self, scope: dict[str, Any]) -> tuple[int, str] | None:
        """Status and reason; None where the request may pass."""
        headers = {
            name.decode("latin-1").lower(): v.decode("latin-1") for name, v in scope["headers"]
        }
        if reason := refusal(headers, self.port):
            return 403, reason
        if scope["path"].endswith("/upload") and size_of(self.folder) > MOST_IN_ALL - MOST_BYTES:
            return 413, "the page holds as many pictures as it may: restart it"
        return None


def size_of(folder: Path) -> int:
    """Bytes of all files below it."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def server(blocks: Any, folder: Path, port: int) -> Any:
    """A uvicorn server of the page: `.run(sockets=[free_port(port)])` serves until interrupted."""
    import uvicorn
    from fastapi import FastAPI

    gr = gradio()
    fonts = {"font": ["sans-serif"], "font_mono": ["monospace"]}  # the default's are fetched
    app = gr.mount_gradio_app(
        FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
        blocks,
        "",
        server_name="127.0.0.1",
        server_port=port,
        max_file_size=MOST_BYTES,
        allowed_paths=[str(folder)],
        theme=gr.themes.Default(**fonts),
        footer_links=[],
        ssr_mode=False,
        enable_monitoring=False,
    )
    config = uvicorn.Config(
        Guard(app, port, folder), log_level="warning", timeout_graceful_shutdown=2
    )
    return uvicorn.Server(config)
