"""Take a picture of a web page, as the operator console's, in headless Chromium.

python tools/page_picture.py http://127.0.0.1:8080 --out docs/images/console.jpg
"""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tyro
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from hilam_core.errors import HilamError
from hilam_core.files import replacing
from hilam_core.program import run_program

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ADVICE = "apt-get install chromium chromium-driver"


class BrowserError(HilamError):
    """There is no browser; the message is one line."""


@dataclass
class Config:
    url: tyro.conf.Positional[str]
    """Address of the page."""
    out: Path
    """PNG or JPEG file to write."""
    width: int = 1400
    """Of the window [px]."""
    height: int = 900
    """Of the window [px]."""
    wait_s: float = 5.0
    """How long the page may take to fill."""


def open_browser(width: int = 1400, height: int = 900) -> webdriver.Chrome:
    """Chromium without a window on the screen; the caller quits it.

    Raises:
        BrowserError: it, or its driver, is not installed.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if not (browser and driver):
        raise BrowserError(f"no Chromium with its chromedriver: {ADVICE}")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    options.add_argument("--headless=new")
    options.add_argument("--no-sandbox")  # root has none
    options.add_argument("--disable-dev-shm-usage")  # containers have a small one
    options.add_argument("--disable-gpu")
    options.add_argument("--disable-renderer-backgrounding")
    options.add_argument(f"--window-size={width},{height}")
    return webdriver.Chrome(options=options, service=Service(driver))


def main(config: Config) -> None:
    browser = open_browser(config.width, config.height)
    try:
        browser.get(config.url)
        time.sleep(config.wait_s)
        with replacing(config.out) as draft:
            picture = np.frombuffer(browser.get_screenshot_as_png(), np.uint8)
            cv2.imwrite(str(draft), cv2.imdecode(picture, cv2.IMREAD_COLOR), [cv2.IMWRITE_JPEG_QUALITY, 85])
    finally:
        browser.quit()


if __name__ == "__main__":
    run_program(main, Config)
