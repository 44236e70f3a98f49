"""The demo's agents on the real page in a real browser, under keys and looks; and in a window."""

import http.client
import time

import cv2
import numpy as np
import pytest
from selenium.webdriver.support.ui import WebDriverWait

from rl_attn.errors import UserError
from rl_attn.live import page, window
from rl_attn.live.page import serving
from rl_attn.live.shipped import AGENTS, shipped
from rl_attn.live.show import KEYS, Seen, Show


@pytest.fixture(scope="module")
def live():
    with Show(shipped(), sharp=True) as show, serving(show, "a title") as server:
        yield show, server


@pytest.fixture(scope="module")
def opened(browser, live):
    browser.get(f"http://127.0.0.1:{live[1].server_port}/")
    until(browser, lambda: source(browser))
    return browser


def until(browser, condition):
    WebDriverWait(browser, 60, poll_frequency=0.05).until(lambda _: condition())


def source(browser, kind="map"):
    return browser.find_element("css selector", f".seat:last-child .{kind}").get_attribute("src")


def press(browser, key):
    browser.find_element("css selector", "body").send_keys(key)


def test_both_agents_play_and_their_numbers_are_shown(opened):
    assert [e.text for e in opened.find_elements("css selector", ".seat h2")] == list(AGENTS)
    before = source(opened)
    until(opened, lambda: source(opened) != before)
    size = "const i = document.querySelector('.map'); return [i.naturalWidth, i.naturalHeight]"
    assert opened.execute_script(size) == [320, 240]
    shown = [e.text for e in opened.find_elements("css selector", "dd")]
    assert len(shown) == 10 and "-" not in shown
    assert {shown[0], shown[5]} <= {"NOOP", "TURN_LEFT", "TURN_RIGHT", "ATTACK"}


def test_keys_pause_and_step_and_a_look_begins_the_game_anew(opened, live):
    show, server = live
    press(opened, " ")
    until(opened, lambda: show.paused)
    until(opened, lambda: "Play" in opened.find_element("id", "pause").text)
    time.sleep(0.3)  # what was on its way
    still, number = source(opened), server._number
    time.sleep(0.3)
    assert source(opened) == still and server._number == number
    opened.find_element("css selector", "[data-key='.']").click()
    until(opened, lambda: server._number == number + 1)
    seeds = [seat.seed for seat in show._seats.values()]
    walls = opened.find_element("css selector", "#look option[value='1']")
    assert walls.text.startswith("surfaces")
    walls.click()
    until(opened, lambda: show.look == 1 and server._number == number + 2)
    assert [seat.seed for seat in show._seats.values()] == [seeds[0]] * 2
    picture = source(opened, "frame")
    press(opened, "k")  # back to the plain look: the same game begins again
    until(opened, lambda: show.look == 0 and source(opened, "frame") != picture)
    press(opened, " ")
    until(opened, lambda: not show.paused)


@pytest.mark.parametrize("width", [400, 700, 1400])
def test_the_page_fits_its_window(opened, width):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    assert opened.execute_script("return document.documentElement.scrollWidth") <= width
    opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert [entry for entry in opened.get_log("browser") if entry["level"] == "SEVERE"] == []


def ask(server, method, path, body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_other_sites_and_other_keys_are_refused(live, monkeypatch):
    _, server = live
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
        assert ask(server, "GET", "/", **headers)[0] == 403
        assert ask(server, "POST", "/do", " ", **headers)[0] == 403
    status, reason = ask(server, "POST", "/do", "look:999")
    assert status == 400 and "no look 999" in reason
    assert ask(server, "POST", "/do", "x")[0] == 400
    assert ask(server, "GET", "/etc/passwd")[0] == 404
    monkeypatch.setattr(page, "_PATIENCE", 0.1)
    assert ask(server, "GET", f"/step?after={'9' * 5000}")[0] == 204


def a_step(name, shade):
    picture = np.full((240, 320, 3), shade, np.uint8)
    return Seen(name, picture, picture // 2, {"action": "ATTACK", "V": "0.10"})


class Still:
    """A show whose steps are pictures made beforehand."""

    due, fps, look, looks = True, 1000.0, 0, [("plain", {})]

    def __init__(self, seats):
        self.seats, self.done = seats, []

    def step(self):
        return self.seats

    def do(self, key):
        self.done.append(key)


def test_the_window_shows_all_seats_and_obeys_keys(monkeypatch):
    seats = [a_step("one", 50), a_step("other", 90)]
    keys, shown = iter([ord("."), -1, ord("l"), ord("q")]), []
    monkeypatch.setattr(window, "why_no_window", lambda: None)
    monkeypatch.setattr(cv2, "imshow", lambda title, picture: shown.append(picture))
    monkeypatch.setattr(cv2, "waitKey", lambda _: next(keys))
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: 1.0)
    monkeypatch.setattr(cv2, "destroyAllWindows", lambda: None)
    still = Still(seats)
    assert window.show_in_window(still) == 0
    assert still.done == [".", "l"] and len(shown) == 4
    rows = slice(24, 24 + 240)  # below the name
    np.testing.assert_array_equal(shown[0][rows, :320, ::-1], seats[0].frame)
    np.testing.assert_array_equal(shown[0][rows, -320:, ::-1], seats[1].frame)


def test_why_there_is_no_window_is_said(monkeypatch):
    for backend, display, reason in (
        ("NONE", ":1", "opencv-python"),
        ("QT5", "", "no display"),
        ("QT5", ":1", None),
    ):
        monkeypatch.setattr(cv2, "getBuildInformation", lambda b=backend: f"  GUI:   {b}\n")
        monkeypatch.setenv("DISPLAY", display)
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        found = window.why_no_window()
        assert found is None if reason is None else reason in found


@pytest.mark.skipif(
    window.why_no_window() is not None,
    reason="needs an OpenCV with windows and a display, such as that of `xvfb-run pytest`",
)
def test_a_window_opens_on_a_real_display():
    cv2.imshow("rl-attn", window.picture([a_step("one", 50)]))
    assert cv2.waitKey(50) == -1 and cv2.getWindowProperty("rl-attn", cv2.WND_PROP_VISIBLE) >= 1
    cv2.destroyAllWindows()


def test_a_show_knows_its_keys(live):
    show, _ = live
    with pytest.raises(UserError, match="unknown key 'q'"):
        show.do("q")
    for key in ("+", "-"):
        show.do(key)
    assert show.speed == 1 and set("nl.") < set(KEYS)
