"""The pages in a real browser, which must be Chromium with its driver.

STREAMDIFF_TEST_SCREENSHOTS names a folder that gets a picture of every page in light,
in dark, and as wide as a phone.
"""

import os
import shutil
import threading
from contextlib import contextmanager
from pathlib import Path
from socket import create_server

import pytest
import uvicorn
from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from streamdiff.app.monitor.site import site

PHONE, DESK = (390, 844), (1280, 900)
PAGES = ("/", "/alerts", "/alerts/1003", "/nowhere")
PATIENCE_S = 30


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("no chromium with chromedriver: apt-get install chromium-driver")
    options = ChromeOptions()
    options.binary_location = chromium
    profile = tmp_path_factory.mktemp("profile")
    for flag in (
        "--headless=new",
        "--no-sandbox",  # root, as in a container, has none
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--no-first-run",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    try:
        chrome = Chrome(options=options, service=ChromeService(driver))
    except WebDriverException as err:
        pytest.skip(f"chromium does not start: {err.msg}")
    chrome.set_page_load_timeout(120)
    yield chrome
    chrome.quit()


@pytest.fixture
def served(now):
    """Return a context: serves a monitor on a free port, and gives its address."""

    @contextmanager
    def serve(recent):
        app = site(recent, now=lambda: now)
        config = uvicorn.Config(app, log_config=None, lifespan="off")
        server, listener = uvicorn.Server(config), create_server(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(PATIENCE_S)
            listener.close()

    return serve


def complaints(browser):
    """Return what the console got since it was last asked, missing pages excepted."""
    lines = [entry["message"] for entry in browser.get_log("browser")]
    return [line for line in lines if "404" not in line]


def until(browser, condition):
    return WebDriverWait(browser, PATIENCE_S, poll_frequency=0.05).until(condition)


def active(browser):
    return browser.switch_to.active_element


def look(browser, *, dark=False, size=DESK):
    """Choose the colours that the user likes, and the size of the window."""
    width, height = size
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {
            "width": width,
            "height": height,
            "deviceScaleFactor": 1,
            "mobile": size == PHONE,
        },
    )
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


def test_a_person_clicks_from_the_overview_to_an_alert(browser, served, recent):
    look(browser)
    with served(recent) as address:
        browser.get(address)
        browser.find_element(By.LINK_TEXT, "Alerts").click()
        browser.find_element(By.NAME, "min_snr").send_keys("7.5" + Keys.ENTER)
        until(browser, lambda b: "min_snr=7.5" in b.current_url)
        browser.find_element(By.PARTIAL_LINK_TEXT, "S/N").click()
        until(browser, lambda b: "sort=-snr" in b.current_url)
        browser.find_element(By.PARTIAL_LINK_TEXT, "S/N").click()
        until(browser, lambda b: "sort=snr" in b.current_url)
        browser.find_element(By.CSS_SELECTOR, "a.open").click()

        assert until(browser, lambda b: b.find_element(By.TAG_NAME, "h1")).text == (
            "Alert 1003"
        )
        images = browser.find_elements(By.TAG_NAME, "img")
        assert len(images) == 4
        (curve,) = browser.find_elements(By.CSS_SELECTOR, "svg.curve")
        assert curve.size["width"] > 2 * curve.size["height"] > 200
        for image in images:
            until(browser, lambda _, i=image: int(i.get_property("naturalWidth")) > 0)
        assert complaints(browser) == []


def test_the_keyboard_reaches_alerts_and_values(browser, served, recent):
    look(browser)
    with served(recent) as address:
        browser.get(f"{address}/alerts?sort=id")
        body = browser.find_element(By.TAG_NAME, "body")
        body.send_keys("/")
        assert active(browser).get_attribute("name") == "band"
        browser.execute_script("document.activeElement.blur()")
        body.send_keys("jjk")
        assert active(browser).text == "1000"
        active(browser).send_keys("j" + Keys.NULL)
        active(browser).send_keys(Keys.ENTER)
        until(browser, lambda b: b.current_url.endswith("/alerts/1001"))

        image = browser.find_element(By.CSS_SELECTOR, "img[data-values]")
        image.send_keys(Keys.ARROW_RIGHT + Keys.ARROW_UP)
        output = browser.find_element(By.TAG_NAME, "output")
        until(browser, lambda _: output.text.startswith("x 16, y 16: "))
        width = image.size["width"]
        image.send_keys("+")
        until(browser, lambda _: image.size["width"] * 6 == width * 8)
        assert complaints(browser) == []


def test_hostile_text_runs_nowhere(browser, served, hostile):
    look(browser)
    with served(hostile) as address:
        for page in ("/", "/alerts", "/alerts/1000"):
            browser.get(f"{address}{page}")
            assert browser.find_elements(By.CSS_SELECTOR, "img[src=x]") == []
            assert "<script>alert(1)" in browser.page_source.replace(
                "&lt;", "<"
            ).replace("&gt;", ">")
            assert complaints(browser) == []


def test_the_overview_renews_itself(browser, served, recent, report):
    recent.is_live = True
    look(browser)
    with served(recent) as address:
        browser.get(address)
        assert "9 in all" not in browser.page_source
        recent.add_report(report(8))
        until(browser, lambda b: "9 in all" in b.page_source)
        assert browser.find_element(By.ID, "pause").text == "Pause"
        assert complaints(browser) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_pages_fit_and_follow_the_colours_of_the_system(
    browser, served, recent, dark, size
):
    look(browser, dark=dark, size=size)
    with served(recent) as address:
        for page in PAGES:
            browser.get(f"{address}{page}")
            width, brightness = browser.execute_script(
                "const c = getComputedStyle(document.body).backgroundColor;"
                "return [document.documentElement.scrollWidth, "
                "c.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0) / 3]"
            )
            assert width <= size[0]
            assert (brightness < 128) is dark
            keep(browser, page, dark=dark, size=size)
        assert complaints(browser) == []


def keep(browser, page, *, dark, size):
    if folder := os.environ.get("STREAMDIFF_TEST_SCREENSHOTS"):
        name = page.strip("/").replace("/", "_") or "overview"
        kind = f"{'phone' if size == PHONE else 'desk'}_{'dark' if dark else 'light'}"
        browser.save_screenshot(Path(folder) / f"{name}_{kind}.png")
