"""The operator console in a browser, with real clicks, against a running stack."""

import os
import re
import signal
import time
from http.client import HTTPConnection

import pytest
from domains import next_domain
from page_picture import BrowserError, open_browser
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

MILK = "pick up the milk and place it in the basket"
EVIL = "<img src=x onerror=alert(1)>"
COLOURS = {"#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"}
LIMIT_S = 240.0  # on a busy machine the page alone takes half a minute


@pytest.fixture
def browser():
    try:
        found = open_browser()
    except BrowserError as error:
        pytest.skip(str(error))
    found.set_page_load_timeout(LIMIT_S)
    yield found
    found.quit()


class Operator:
    """Sees the page as a person does: texts, pictures, and buttons by what is written on them."""

    def __init__(self, browser, url):
        self.browser = browser
        browser.get(url)

    @property
    def text(self):
        return self.browser.find_element(By.TAG_NAME, "body").text

    def until(self, condition, what):
        """Until a condition holds; the page may be loading, or changing while it is looked at."""
        end = time.monotonic() + LIMIT_S
        while True:
            try:
                if found := condition():
                    return found
            except WebDriverException:
                pass
            assert time.monotonic() < end, f"no {what}:\n{self.text}"
            time.sleep(0.2)

    def reads(self, words):
        self.until(lambda: re.search(words, self.text), f"'{words}'")

    def find(self, path):
        return self.browser.find_element(By.XPATH, path)

    def button(self, name):
        return self.find(f"//button[normalize-space(.)='{name}']")

    def click(self, name):
        """Press a button, as soon as that is possible."""

        def pressed():
            return self.button(name).is_enabled() and (self.button(name).click() or True)

        self.until(pressed, f"button '{name}' to press")

    def choose(self, label, text):
        """Pick an option of a list."""

        label, option = f"//label[contains(., '{label}')", f"//*[@role='option'][contains(., '{text}')]"

        def chosen():
            if self.browser.find_elements(By.XPATH, f"{label} and contains(., '{text}')]"):
                return True
            if options := self.browser.find_elements(By.XPATH, option):
                options[0].click()
            else:  # the list is closed, or still opens: another click would close it
                self.find(f"{label}]").click()
                time.sleep(3.0)
            return False

        self.until(chosen, f"choice '{text}'")

    def known(self):
        """The instructions that are offered."""
        options = self.browser.find_elements(By.CSS_SELECTOR, "datalist option")
        return {option.get_attribute("value") for option in options}

    def pictures(self):
        """Whether there are pictures, and each has arrived."""
        images = self.browser.find_elements(By.TAG_NAME, "img")
        return images and all(int(image.get_property("naturalWidth")) for image in images)

    def timeline(self):
        """The segments of the timeline, by their colours."""
        paths = self.browser.find_elements(By.CSS_SELECTOR, ".nicegui-echart path[fill]")
        return {path.get_attribute("fill").upper() for path in paths}.intersection(COLOURS)


def answer(url, path="/", data=None, **headers):
    """Status, body and headers of an answer; redirections are not followed."""
    host = url.removeprefix("http://")
    connection = HTTPConnection(host, timeout=LIMIT_S)
    connection.request("GET" if data is None else "POST", path, data, {"Origin": url, **headers})
    response = connection.getresponse()
    return response.status, response.read().decode(), response.headers


def test_beyond_this_machine_it_asks_for_a_token_which_no_log_has(workspace, tmp_path):
    path = tmp_path / "token"
    console = workspace.run_node("console", console_host="0.0.0.0", console_port=0, console_token_file=path)
    console.wait_for(f"its token is in {path}")
    url = re.search(r"operator console: http://0.0.0.0(:\d+)", console.output)[1]
    url, token = f"http://127.0.0.1{url}", path.read_text().strip()
    status, page, _ = answer(url)
    assert status == 200 and "Token of this console" in page
    assert answer(url, "/camera/0")[0] == 401
    assert answer(url, "/login", "token=wrong")[0] == 401
    status, _, headers = answer(url, "/login", f"token={token}")
    cookie = headers["Set-Cookie"].split(";")[0]
    assert status == 303 and token not in str(headers)
    status, page, _ = answer(url, Cookie=cookie)
    assert status == 200 and "STOP" in page
    assert answer(url, Cookie=cookie, Host="evil.example")[0] == 403
    assert answer(url, "/login", f"token={token}", Origin="http://evil.example")[0] == 403
    assert token not in console.output

    second = workspace.run_node("console", console_port=url.rsplit(":", 1)[1])
    assert second.wait() == 1
    assert "error: cannot listen at console_host 127.0.0.1" in second.output
    path.chmod(0o644)
    third = workspace.run_node("console", console_port=0, console_token_file=path)
    assert third.wait() == 1
    assert f"error: others can read the token in '{path}': chmod 600 '{path}'" in third.output


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_an_operator_runs_judges_stops_and_cancels_tasks_in_a_browser(workspace, random_checkpoint, browser):
    domain = next_domain()
    arguments = {"mode": "realtime", "serve": "true", "output": "none", "policy": random_checkpoint}
    busy = {"max_state_age_s": 5.0, "max_command_age_s": 5.0}  # a reset needs a state that is not too old
    launch = workspace.simulate(domain, console="true", console_port=0, **arguments, **busy)
    launch.wait_for("operator console: http://127.0.0.1:")
    url = re.search(r"operator console: (http://\S+)", launch.output)[1]
    page = Operator(browser, url)
    page.reads("task_server: ready")
    page.until(page.pictures, "pictures of the cameras")
    page.reads(r"agentview: \d+\.\d Hz")
    page.until(lambda: MILK in page.known(), "known instructions")
    page.reads("No recorder runs")
    page.until(lambda: not page.button("Record").is_enabled(), "recording that is not possible")
    page.choose("Scene", MILK)
    page.click("Start")
    page.reads(rf"Episode 1, step \d+: {MILK}")
    page.click("Failed")  # within the 14 s of an episode
    page.reads(r"episode 1: failed: the operator says so, after \d+ steps")
    page.until(page.timeline, "coloured timeline")

    shell = "ros2 topic pub -r 2 /diagnostics diagnostic_msgs/msg/DiagnosticArray"
    status = f'{{status: [{{name: driver, level: 2, message: "{EVIL}"}}]}}'
    driver = workspace.start(f"{shell} '{status}'", domain)
    page.reads(re.escape(f"driver: {EVIL}"))
    assert not browser.find_elements(By.CSS_SELECTOR, "img[src='x']")
    driver.kill()

    page.click("Start")
    page.reads(r"Episode 2, step [1-9]")
    page.find("//body").send_keys(Keys.ESCAPE)
    page.reads("the arm was stopped: stopped by service")
    page.reads("episode 2: stopped: by the safety monitor")
    page.click("Start")
    page.reads("goal rejected: the safety monitor has stopped the arm")
    page.click("Reset")
    page.reads("reset: the stop is over")

    page.click("Start")
    page.reads(r"Episode 3, step [1-9]")
    page.click("Cancel")
    page.reads("episode 3: cancelled: the goal was cancelled")

    socket = f"{url.replace('http', 'ws')}/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    with pytest.raises(InvalidStatus, match="403"):
        connect(socket, origin="http://evil.example", open_timeout=LIMIT_S)
    connect(socket, origin=url, open_timeout=LIMIT_S).close()

    (console,) = [pid for pid, command in launch.processes().items() if "hilam_ros/console" in command]
    os.kill(console, signal.SIGKILL)
    launch.wait_for("The stack goes on without it")
    goal = workspace.send_goal(domain, "{time_limit_s: 0.5, start: {suite: libero_object, task: '0'}}")
    goal.wait()
    assert "outcome: timeout" in goal.output, goal.output
    assert "Traceback" not in launch.output, launch.output
    launch.interrupt()
