"""Who may ask the page, and what it keeps."""

import http.client
import json

import pytest
from served_pages import served

from rl_attn.errors import UserError
from rl_attn.supervised import page_server
from rl_attn.supervised.page_server import free_port, gradio


@pytest.fixture(scope="module")
def page():
    def make(folder):
        gr = gradio()
        with gr.Blocks() as blocks:
            gr.Image()
        return blocks

    with served(make) as found:
        yield found


def ask(port, path, method="GET", body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def upload(port, content, **headers):
    body = (
        b'--XX\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n'
        b"Content-Type: image/png\r\n\r\n" + content + b"\r\n--XX--\r\n"
    )
    kind = {"Content-Type": "multipart/form-data; boundary=XX"}
    return ask(port, "/gradio_api/upload", "POST", body, **kind, **headers)


def test_the_page_answers_itself(page):
    port, _ = page
    assert ask(port, "/config")[0] == 200
    assert (
        ask(port, "/config", Host=f"localhost:{port}", Origin=f"http://localhost:{port}")[0] == 200
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1"},  # no port: not how a browser asks this page
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ],
)
def test_another_site_is_refused(page, headers):
    port, _ = page
    for path in ("/", "/config", "/gradio_api/info"):
        assert ask(port, path, **headers)[0] == 403
    assert upload(port, b"x", **headers)[0] == 403


def test_uploads_lie_in_the_pages_folder_and_are_bounded(page, monkeypatch):
    port, folder = page
    status, answer = upload(port, b"x" * 1000)
    (file,) = json.loads(answer)
    assert status == 200 and file.startswith(str(folder.resolve()))
    assert page_server.size_of(folder) >= 1000
    monkeypatch.setattr(page_server, "MOST_IN_ALL", page_server.MOST_BYTES + 999)
    assert upload(port, b"y")[0] == 413
    assert upload(port, b"z" * (page_server.MOST_BYTES + 1))[0] == 413


def test_a_port_that_is_taken_is_said():
    with free_port(0) as taken:
        taken.listen()
        with pytest.raises(UserError, match="is not available"):
            free_port(taken.getsockname()[1])
