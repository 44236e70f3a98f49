"""The page in a real browser: a drawn prompt changes the prediction that is shown."""

import shutil
import struct
import time
import zlib

import numpy as np
import pytest
import torch
from PIL import Image
from served_pages import served
from trainers import flags_of

from rl_attn.errors import UserError
from rl_attn.supervised import prompt, prompt_page, train
from rl_attn.supervised.steering import drawn

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = (
    "--headless=new --no-sandbox --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update --disable-dev-shm-usage "
    "--enable-unsafe-swiftshader --window-size=1200,1400"
)
TINY = {"epochs": 6, "perturbed_masks": 16, "cells": 4, "reuse_scores": True, "model_passes": 5}
TINY |= {"weight_passes": 1, "activation_norm": "mean", "backbone": "decoy-cnn"}


@pytest.fixture
def run(toy, tmp_path):
    folder = tmp_path / "run"
    assert train.main([*flags_of("vapl", **TINY), "--run-dir", str(folder)]) == 0
    return folder


@pytest.fixture
def picture(toy, tmp_path):
    image = toy.splits["test"].images[0, 0].numpy()
    file = tmp_path / "picture.png"
    Image.fromarray(image).convert("RGB").resize((200, 200), Image.Resampling.NEAREST).save(file)
    return file


def test_colours_are_read_from_the_strokes():
    layer = np.zeros((2, 3, 4), np.uint8)
    layer[0, 0], layer[0, 1] = (224, 0, 0, 255), (255, 216, 0, 255)
    layer[0, 2] = (224, 0, 0, 60)  # a stroke's faint edge
    assert drawn([layer], (2, 3)).tolist() == [[1, 0, -1], [-1, -1, -1]]
    assert drawn([layer, layer[:, ::-1]], (2, 3)).tolist()[0] == [1, 0, 1]


def test_what_is_no_picture_or_too_large_is_refused():
    with pytest.raises(ValueError, match="load a picture"):
        prompt_page.read(None)
    picture, layer = np.zeros((6, 6, 3), np.uint8), np.zeros((5, 6, 4), np.uint8)
    with pytest.raises(ValueError, match="not of the picture's size"):
        prompt_page.read({"background": picture, "layers": [layer]})


def png(width: int, height: int) -> bytes:
    """A PNG of that size with no pixels behind its header: whoever decodes it fails."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"")


def test_a_picture_is_judged_by_its_header_before_it_is_decoded():
    prompt_page.refuse_oversized(png(prompt_page.LARGEST, 1))
    with pytest.raises(ValueError, match="4097 x 2: at most 4096"):
        prompt_page.refuse_oversized(png(prompt_page.LARGEST + 1, 2))
    for wrong in (b"<svg/>", b"", b"x" * 99):
        with pytest.raises(ValueError, match="not a picture"):
            prompt_page.refuse_oversized(wrong)


def test_only_runs_of_vapl_are_opened(toy, tmp_path):
    folder = tmp_path / "vanilla"
    assert train.main([*flags_of("vanilla", epochs=1), "--run-dir", str(folder)]) == 0
    with pytest.raises(UserError, match="trained vanilla"):
        prompt.main([str(folder)])
    with pytest.raises(UserError, match="is not a run"):
        prompt.main([str(tmp_path)])


@pytest.mark.timeout(600)  # Gradio and a browser start, on a machine that may be busy
@pytest.mark.skipif(not (BROWSER and DRIVER), reason="needs Debian's chromium and chromium-driver")
def test_a_drawn_prompt_changes_the_prediction_and_is_saved(run, picture, tmp_path):
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path / 'browser'}"]:
        options.add_argument(flag)
    steered = prompt_page.Steered(run, torch.device("cpu"))
    with served(lambda folder: prompt_page.page(steered, folder)) as (port, folder):
        driver = webdriver.Chrome(options=options, service=Service(DRIVER))
        try:
            driver.get(f"http://127.0.0.1:{port}/")
            use(driver, picture, tmp_path)
        finally:
            driver.quit()
    assert not folder.exists()


def soon(read, seconds):
    """What `read` finds within so many seconds; None if nothing."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := read():
            return found
        time.sleep(0.2)
    return None


def wait(read, message, seconds=120):
    if found := soon(read, seconds):
        return found
    raise AssertionError(message)


def use(driver, picture, tmp_path):
    from selenium.webdriver import ActionChains

    def find(selector):
        return driver.find_elements("css selector", selector)

    def text(name):
        return driver.execute_script(f"return document.querySelector('#{name}').innerText")

    def predicted(done):
        """What `done` finds after a prediction, which is asked for again every 15 seconds: on a
        busy machine a click may come before the picture, or a stroke, has reached the page."""
        for _ in range(8):
            button = find("#predict")[0]
            driver.execute_script("arguments[0].click()", button)  # a message may cover it
            if found := soon(done, 15):
                return found
        raise AssertionError("the prediction did not come: " + find("body")[0].text)

    def loaded():
        """Hands the picture over; again if a page that was not quite there took no notice."""
        for box in find("#editor input[type=file]"):
            box.send_keys(str(picture))
        return soon(lambda: not find("#editor .empty"), 15)

    wait(lambda: find("#editor input[type=file]"), "the page did not load")
    wait(loaded, "the picture did not load")
    canvas = find("#editor canvas")[0]
    predicted(lambda: find("#refined img"))
    wait(lambda: "%" in text("after"), "no percentage was shown")
    time.sleep(1)  # the labels are drawn one after the other
    first = text("after")
    assert text("before").split()[-6:] == first.split()[-6:]
    strokes = ActionChains(driver).move_to_element(canvas).click_and_hold()
    strokes.move_by_offset(30, 20).move_by_offset(-50, 10).move_by_offset(20, -50).release()
    strokes.perform()
    second = predicted(lambda: text("after") != first and "%" in text("after") and text("after"))
    assert second != first
    find("#save")[0].click()
    link = wait(lambda: find("#mask a"), "no mask file was offered")[0].get_attribute("href")
    script = """const done = arguments[1];
        fetch(arguments[0]).then(r => r.arrayBuffer()).then(b => done([...new Uint8Array(b)]))"""
    saved = tmp_path / "000000.png"
    saved.write_bytes(bytes(driver.execute_async_script(script, link)))
    mask = np.asarray(Image.open(saved))
    assert mask.shape == (200, 200) and set(np.unique(mask)) == {128, 255}
    driver.save_screenshot(str(tmp_path / "page.png"))
