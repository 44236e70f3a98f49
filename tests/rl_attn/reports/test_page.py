"""The page in a real browser: sorting, themes, zooming, videos, and nothing fetched."""

import json
import os

import pytest


@pytest.fixture(scope="module")
def opened(browser, reported):
    """The page of a study with one video and one failed cell."""
    scheme(browser, "light")
    browser.get((reported / "report" / "index.html").as_uri())
    return browser


def column(browser, table, index):
    script = "return [...document.querySelectorAll(arguments[0])].map(cell => cell.textContent)"
    return browser.execute_script(script, f"#{table} ~ .scroll td:nth-child({index})")


def test_a_click_on_a_head_sorts_and_another_turns_it_round(opened):
    head = "#table-runs ~ .scroll th:nth-child(9)"  # the return of each run
    button = opened.find_element("css selector", head + " button")
    before = column(opened, "table-runs", 9)
    opened.execute_script("arguments[0].click()", button)
    values = column(opened, "table-runs", 9)
    assert values[0] == "-" and sorted(values) == sorted(before)
    numbers = [float(value) for value in values[1:]]
    assert numbers == sorted(numbers) and numbers[-1] == 120
    assert opened.find_element("css selector", head).get_attribute("aria-sort") == "ascending"
    button.send_keys("\ue007")  # Enter
    assert [float(value) for value in column(opened, "table-runs", 9)[:-1]] == numbers[::-1]
    assert opened.find_element("css selector", head).get_attribute("aria-sort") == "descending"


def test_rows_are_sorted_whole(opened):
    opened.execute_script(
        "document.querySelector('#table-runs ~ .scroll th:nth-child(1) button').click()"
    )
    names, tasks = column(opened, "table-runs", 1), column(opened, "table-runs", 2)
    assert names == sorted(names) and all(
        n.startswith(t) for n, t in zip(names, tasks, strict=True)
    )


def background(browser):
    return browser.execute_script("return getComputedStyle(document.body).backgroundColor")


def scheme(browser, value):
    media = {"features": [{"name": "prefers-color-scheme", "value": value}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)


def test_the_theme_is_the_systems_until_it_is_toggled(opened):
    light = background(opened)
    scheme(opened, "dark")
    dark = background(opened)
    assert light != dark
    toggle = opened.find_element("id", "theme")
    toggle.click()
    assert background(opened) == light
    ink = "return getComputedStyle(document.querySelector('.zoom svg')).color"
    on_light = opened.execute_script(ink)
    toggle.click()
    assert background(opened) == dark and opened.execute_script(ink) != on_light
    opened.execute_script("localStorage.clear(); delete document.documentElement.dataset.theme")
    scheme(opened, "light")
    assert background(opened) == light


def test_a_figure_is_enlarged_and_put_back_by_mouse_and_keyboard(opened):
    button = opened.find_element("css selector", "button.zoom")
    small = opened.execute_script("return arguments[0].querySelector('svg').clientWidth", button)
    opened.execute_script("arguments[0].click()", button)
    is_open = "return document.querySelector('dialog').open"
    assert opened.execute_script(is_open)
    large = opened.execute_script("return document.querySelector('.large svg').clientWidth")
    assert large > small
    opened.find_element("css selector", "dialog .close").click()
    assert not opened.execute_script(is_open)
    button.send_keys("\ue007")  # Enter
    assert opened.execute_script(is_open)
    opened.switch_to.active_element.send_keys("\ue00c")  # Escape
    assert not opened.execute_script(is_open)


def test_videos_play(opened):
    script = """
        const done = arguments[arguments.length - 1];
        const video = document.querySelector("video");
        video.addEventListener("timeupdate", () => video.currentTime > 0.1 && done(video.duration));
        video.addEventListener("error", () => done("error"));
        video.play().catch((error) => done(String(error)));
    """
    assert opened.execute_async_script(script) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("width", [400, 1400])
def test_the_page_fits_its_window(opened, width):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    assert opened.execute_script("return document.documentElement.scrollWidth") <= width
    opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_everything_that_is_seen_has_a_name_and_every_id_is_unique(opened):
    unnamed = opened.execute_script(
        "return [...document.querySelectorAll('button, video, dialog')]"
        ".filter(e => !(e.getAttribute('aria-label') || e.textContent.trim())).length"
    )
    assert unnamed == 0
    ids = opened.execute_script(
        "document.querySelector('.large').replaceChildren();"
        "return [...document.querySelectorAll('[id]')].map(e => e.id)"
    )
    assert len(ids) == len(set(ids))
    links = opened.execute_script(
        "return [...document.querySelectorAll('a[href^=\"#\"]')].map(a => a.getAttribute('href'))"
    )
    assert {link[1:] for link in links} <= set(ids)


def test_linked_files_exist(opened):
    links = opened.execute_script("return [...document.links].map(a => a.href.split('#')[0])")
    assert len(links) > 30
    assert all(os.path.exists(link.removeprefix("file://")) for link in links)


def test_nothing_is_complained_of_and_nothing_is_fetched(opened):
    opened.get_log("performance")  # what came before is the browser's own start page
    opened.refresh()
    events = [json.loads(entry["message"])["message"] for entry in opened.get_log("performance")]
    urls = [e["params"]["request"]["url"] for e in events if e["method"].endswith("WillBeSent")]
    assert urls and all(url.startswith(("file:", "data:")) for url in urls)
    assert opened.get_log("browser") == []
    assert opened.find_elements("css selector", "i") == []  # the failed cell's message is text
