"""A show as a page of this machine's alone, served by the standard library.

    with Show(players) as show, serving(show, port=0) as server:
        server.server_port

`GET /` is the page, `GET /step?after=N` the first step after the N-th, as soon as there is one, and
`POST /do` obeys a key. One thread plays, and only while somebody looks.
"""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import cv2
import jinja2
import numpy as np

from rl_attn.errors import UserError
from rl_attn.live.show import KEYS, Seen, Show
from rl_attn.run.local_page import free_port, refusal

_TEMPLATE = Path(__file__).parent / "template"
#: Seconds without a request after which nobody is taken to look, and that a request may wait.
_NOBODY, _PATIENCE = 3.0, 20.0


class PageServer(ThreadingHTTPServer):
    """Serves one show."""

    daemon_threads = True

    def __init__(self, show: Show, title: str, about: str, port: int):
        with free_port(port) as listener:
            super().__init__(listener.getsockname(), _Handler, bind_and_activate=False)
            self.socket.close()
            self.socket = listener.dup()
        self.server_activate()
        self.server_name, self.server_port = self.socket.getsockname()[:2]
        self.show, self.title, self.about = show, title, about
        self._failed: Exception | None = None
        self._ended = threading.Event()
        self._number, self._newest = 0, b""
        self._asked, self._over = 0.0, False

    def play(self) -> None:
        """Step the show at its pace while somebody looks, until `stop`."""
        changed, due = self.show.changed, time.monotonic()
        try:
            while True:
                with changed:
                    changed.wait_for(lambda: self._over or (self.show.due and self._watched), 0.5)
                    if self._over:
                        return
                    if not (self.show.due and self._watched):
                        continue
                self._publish(self.show.step())
                due = max(due + 1 / self.show.fps, time.monotonic())
                time.sleep(max(0.0, due - time.monotonic()))
        except Exception as error:  # told to the thread that waits
            self._failed = error
        finally:
            self._ended.set()

    @property
    def _watched(self) -> bool:
        return time.monotonic() - self._asked < _NOBODY

    def _publish(self, seats: list[Seen]) -> None:
        shown = [
            {"name": s.name, "frame": _url(s.frame), "map": _url(s.map), "numbers": s.numbers}
            for s in seats
        ]
        with self.show.changed:
            self._number += 1
            self._newest = json.dumps({"number": self._number, "seats": shown}).encode()
            self.show.changed.notify_all()

    def stop(self) -> None:
        """End `play`."""
        with self.show.changed:
            self._over = True
            self.show.changed.notify_all()

    def wait(self) -> None:
        """Return when `play` has; raise what has broken it."""
        self._ended.wait()
        if self._failed is not None:
            raise self._failed

    def newest(self, after: int) -> bytes:
        """The newest step as JSON, once its number is above `after`; empty if none comes."""
        with self.show.changed:
            self._asked = time.monotonic()
            self.show.changed.notify_all()
            self.show.changed.wait_for(lambda: self._over or self._number > after, _PATIENCE)
            self._asked = time.monotonic()
            return self._newest if self._number > after else b""

    def state(self) -> bytes:
        """What the page's controls show, as JSON."""
        show = self.show
        return json.dumps({"paused": show.paused, "look": show.look, "speed": show.speed}).encode()

    def page(self) -> bytes:
        """The HTML."""
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_TEMPLATE), autoescape=True, trim_blocks=True
        )
        height, width = next(iter(self.show.players.values())).environment.mask_shape
        values = {
            "title": self.title,
            "players": list(self.show.players),
            "about": self.about,
            "looks": _by_axis(self.show),
            "ratio": width / height,
            "keys": KEYS,
        }
        return environment.get_template("live.html").render(values).encode()


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        if self._refused():
            return
        if address.path == "/":
            self._answer(200, self.server.page(), "text/html; charset=utf-8")
        elif address.path == "/step":
            after = parse_qs(address.query).get("after", ["0"])[0]
            step = self.server.newest(int(after[:18]) if after.isdecimal() else 0)
            self._answer(200 if step else 204, step)
        else:
            self._answer(404, b"")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "0")
        body = self.rfile.read(min(int(length[:18]), 64)) if length.isdecimal() else b""
        if self._refused():
            return
        if self.path != "/do":
            self._answer(404, b"")
            return
        try:
            self.server.show.do(body.decode("utf-8", "replace"))
        except UserError as error:
            self._answer(400, str(error).encode(), "text/plain; charset=utf-8")
        else:
            self._answer(200, self.server.state())

    def _refused(self) -> bool:
        headers = {name.lower(): value for name, value in self.headers.items()}
        reason = refusal(headers, self.server.server_port)
        if reason:
            self.close_connection = True
            self._answer(403, reason.encode(), "text/plain; charset=utf-8")
        return reason is not None

    def _answer(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        with contextlib.suppress(ConnectionError):  # the page was closed meanwhile
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: a page asks several times a second."""


@contextlib.contextmanager
def serving(
    show: Show, title: str = "rl-attn", about: str = "", port: int = 0
) -> Iterator[PageServer]:
    """Within the block the show is played and served by threads; port 0: any that is free."""
    server = PageServer(show, title, about, port)
    threads = [
        threading.Thread(target=server.play, daemon=True),
        threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True),
    ]
    for thread in threads:
        thread.start()
    try:
        yield server
    finally:
        server.stop()
        server.shutdown()
        server.server_close()
        for thread in threads:
            thread.join()


def _by_axis(show: Show) -> list[tuple[str, list[tuple[int, str]]]]:
    """(axis, its looks as (number, name)) for the page; [] where there is nothing to choose."""
    found: dict[str, list[tuple[int, str]]] = {}
    for number, (name, variation) in enumerate(show.looks):
        axis = next(iter(variation or {}), "as it is")
        found.setdefault(axis, []).append((number, name))
    return list(found.items()) if len(show.looks) > 1 else []


def _url(picture: np.ndarray) -> str:
    """A picture (H, W, 3) as a data URL."""
    _, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
