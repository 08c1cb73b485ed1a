"""The live page at the admin port, in headless Chromium: each view, each action, a long line, a lost
connection.

Needs Debian's chromium, chromium-driver and python3-selenium; without them it is skipped (where CI is
set that is a failure). VORRANG_SCREENSHOTS=FOLDER keeps pictures of what was seen.
"""

import contextlib
import http.server
import json
import os
import pathlib
import resource
import shutil
import signal
import sys
import threading
import time
import unittest
import urllib.parse
from unittest import mock

import client
import gateway as gateways
from gateway import Gateway, wait_until
from provider import Provider, Reply, error

# Debian's, also for a Python that is not Debian's: behind everything else.
sys.path.append("/usr/lib/python3/dist-packages")

try:
    from selenium import webdriver
    from selenium.common.exceptions import StaleElementReferenceException
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
except ImportError:
    webdriver = None

HOSTILE = '<img src=x onerror="document.title=666">'
DEPTH = 10_000


def why_not():
    """What is missing here, or nothing."""
    if webdriver is None:
        return "python3-selenium is not installed"
    missing = [name for name in ("chromium", "chromedriver") if not shutil.which(name)]
    return f"{' and '.join(missing)} cannot be run" if missing else None


def setUpModule():
    reason = why_not()
    if reason and os.environ.get("CI"):
        raise AssertionError(reason)
    if reason:
        raise unittest.SkipTest(reason)
    Page.start()


def tearDownModule():
    Page.end()


class Page:
    """The one browser, and what a test asks of it."""

    driver = None

    @classmethod
    def start(cls):
        options = webdriver.ChromeOptions()
        for argument in (
            "--headless=new",
            "--no-sandbox",  # root has none
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-extensions",
            "--window-size=1280,1000",
        ):
            options.add_argument(argument)
        options.binary_location = shutil.which("chromium")
        options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
        cls.driver = webdriver.Chrome(service=Service(shutil.which("chromedriver")), options=options)

    @classmethod
    def end(cls):
        if cls.driver:
            cls.driver.quit()

    @classmethod
    def asked_addresses(cls):
        """Every address that pages have asked for since the last call."""
        addresses = []
        for entry in cls.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                addresses.append(message["params"]["request"])
        return addresses


class Case(unittest.TestCase):
    """A page of one gateway; afterwards nothing else was asked for and nothing went wrong in it."""

    may_fail = ()  # parts of console messages that this case provokes

    def setUp(self):
        self.driver = Page.driver
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        Page.asked_addresses()
        self.driver.get_log("browser")
        self.connections = []

    def tearDown(self):
        for connection in self.connections:
            connection.close()
        requests = [request for request in Page.asked_addresses() if not request["url"].startswith("data:")]
        if hasattr(self, "gateway"):
            own = f"http://127.0.0.1:{self.gateway.admin_port}/"
            self.assertEqual([r["url"] for r in requests if not r["url"].startswith(own)], [])
        wrong = [
            entry["message"]
            for entry in self.driver.get_log("browser")
            if entry["level"] == "SEVERE" and not any(part in entry["message"] for part in self.may_fail)
        ]
        self.requests = requests
        # Its stream shall not hold the next gateway's end up.
        self.driver.get("about:blank")
        self.assertEqual(wrong, [])

    def open(self, gateway, model=None):
        self.gateway = gateway
        path = f"#model={model}" if model else ""
        self.driver.get("about:blank")
        self.driver.get(f"http://127.0.0.1:{gateway.admin_port}/{path}")

    def serve(self, config, **how):
        return self.stack.enter_context(Gateway(config, **how))

    def ask(self, gateway, model, **fields):
        connection = gateway.send_chat(model=model, **fields)
        self.connections.append(connection)
        return connection

    def line_up(self, gateway, model, priorities):
        """Each is seen waiting before the next is sent."""
        made = []
        path = urllib.parse.quote(model)
        for priority in priorities:
            before = gateway.waiting_count(path)
            made.append(self.ask(gateway, model, priority=priority))
            gateway.wait_until_waiting(before + 1, path)
        return made

    def hold(self, gateway, model):
        """Takes the only slot, for long."""
        self.ask(gateway, model, priority=0)
        path = urllib.parse.quote(model)
        wait_until(lambda: gateway.queue(path).document["deployments"][0]["in_flight"] == 1)

    # Looking ------------------------------------------------------------------------------------

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        found = self.all(selector)
        self.assertEqual(len(found), 1, f"{selector}: {len(found)} of them")
        return found[0]

    def texts(self, selector):
        """Of all at one moment."""
        return self.driver.execute_script(
            "return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)", selector
        )

    def text(self, selector):
        return " ".join(self.texts(selector))

    def until(self, condition, what="it was not seen", timeout_s=10):
        def holds():
            with contextlib.suppress(StaleElementReferenceException):
                return condition()
            return False

        wait_until(
            holds,
            timeout_s,
            lambda: f"{what}; the page says:\n{self.driver.execute_script('return document.body.innerText')[:2000]}",
        )

    def until_live(self):
        self.until(lambda: self.text("#connection") == "live", "never live")

    def until_shown(self, count, selector=".ticket"):
        self.until(lambda: len(self.all(selector)) == count, f"not {count} of {selector}")

    def picture(self, name):
        folder = os.environ.get("VORRANG_SCREENSHOTS")
        if folder:
            pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
            self.driver.save_screenshot(os.path.join(folder, f"{name}.png"))

    def keys(self, *keys):
        ActionChains(self.driver).send_keys(*keys).perform()

    def focused(self):
        return self.driver.switch_to.active_element


MODELS = """
model_list:
  - model_name: slow
    litellm_params: {model: openai/x, mock_response: "hi", mock_delay: 600, max_parallel_requests: 1}
    model_info: {id: slow-one}
  - model_name: counted
    litellm_params: {model: openai/x, mock_response: "hi", rpm: 2}
    model_info: {id: counted-one}
router_settings:
  timeout: 600
  default_priority: 255
"""


class LivePage(Case):
    def test_the_line_as_it_stands(self):
        gateway = self.serve(MODELS)
        self.hold(gateway, "slow")
        self.line_up(gateway, "slow", [9, 5, 9, 0])
        self.open(gateway)
        self.until_live()
        self.until_shown(4)
        self.assertEqual(self.text("#model"), "slow")  # the one with most waiting
        self.assertEqual(self.texts(".lane h3"), ["Priority 0", "Priority 5", "Priority 9"])
        self.assertEqual(self.texts(".ticket .place"), ["1.", "2.", "3.", "4."])
        ids = [ticket["id"] for ticket in gateway.queue("slow").tickets]
        self.assertEqual(self.texts(".ticket code"), ids)
        # Only the head waits for something but others, and is marked.
        self.assertEqual(self.texts(".ticket.head code"), ids[:1])
        self.assertEqual(
            self.texts(".ticket .reason"),
            ["waits for a free slot", "waits behind 1 other", "waits behind 2 others", "waits behind 3 others"],
        )
        self.assertIn("The head of the line waits for a free slot.", self.text("#blocked"))
        # 0 came last and goes first; 5 came second; of the nines the first was passed twice.
        self.assertEqual(self.texts(".ticket .up"), ["▲3", "▲1", "", ""])
        self.assertEqual(self.texts(".ticket .down"), ["", "▼1", "▼2", "▼1"])
        self.assertIn("slow-one", self.text(".deployment h3"))
        self.assertEqual(self.text(".deployment .pill"), "full")
        self.assertIn("slots: 1 of 1 used", self.text(".deployment .why"))
        # Who overtook whom: the row that the pointer is on shows them.
        ActionChains(self.driver).move_to_element(self.all(".ticket")[1]).perform()
        self.until(lambda: self.texts(".ticket.overtaken code") == [ids[2]], "whom it overtook")
        self.assertEqual(self.texts(".ticket.overtaker code"), ids[:1])
        self.picture("line")
        # And it follows: who goes, who comes.
        self.connections.pop(1).close()
        self.until_shown(3)
        self.line_up(gateway, "slow", [7])
        self.until(lambda: "Priority 7" in self.texts(".lane h3"))

    def test_what_is_blocked_until_when_and_what_the_last_minutes_brought(self):
        with Provider() as provider:
            provider.script = [Reply(429, error("busy"), {"Retry-After": "90"})]
            gateway = self.serve(
                MODELS.replace(
                    "router_settings:",
                    f"""  - model_name: cooling
    litellm_params: {{model: openai/x, api_base: "{provider.base}", api_key: k}}
    model_info: {{id: cooling-one}}
router_settings:""",
                )
            )
            for priority in (0, 50):
                self.assertEqual(gateway.chat(model="counted", priority=priority).status, 200)
            self.ask(gateway, "counted")
            gateway.wait_until_waiting(1, "counted")
            self.ask(gateway, "cooling")
            wait_until(lambda: gateway.queue("cooling").document["deployments"][0]["cooling"])
            self.open(gateway, "counted")
            self.until_live()
            self.until_shown(1)
            self.assertRegex(self.text(".ticket .reason"), r"^waits for rpm: next unit in \d+\.\d s$")
            self.assertRegex(self.text(".deployment .why"), r"^rpm: 2 of 2 used, next unit in \d+\.\d s$")
            self.assertEqual(self.texts(".gauge.rpm .words"), ["rpm: 2 of 2"])
            self.runs_down(".gauge.window")
            self.one("#models li:nth-child(3) button").click()
            self.until(lambda: self.text("#model") == "cooling")
            self.until(lambda: self.text(".deployment .pill") == "cooling")
            self.assertRegex(self.text(".deployment .why"), r"^cools down after 429: \d+\.\d s left$")
            self.assertRegex(self.text("#blocked"), r"backs off after a failed attempt: again in \d+\.\d s")
            self.assertIn("1 of 1 cooling", self.text("#models li:nth-child(3) .about"))
            self.runs_down(".gauge.cooldown")
            self.picture("cooling")
            self.one("#models li:nth-child(2) button").click()
            self.grants_and_waits_are_drawn()

    def grants_and_waits_are_drawn(self):
        """Of one request with priority 0 and one with 50."""
        # The gateway counts in steps of 5 s, whether somebody looks or not.
        self.until(lambda: "0-9: 1; 10-99: 1" in self.text("#grants-text"), "no grants", 15)
        self.assertRegex(self.text("#waits-text"), r"The most of the last minute: 0-9: \d+\.\d s; 10-99: ")
        for canvas in ("grants", "waits"):
            coloured = self.driver.execute_script(
                """const c = document.getElementById(arguments[0]);
                const p = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
                let count = 0;
                for (let i = 0; i < p.length; i += 4)
                  if (p[i + 3] > 0 && Math.max(p[i], p[i+1], p[i+2]) - Math.min(p[i], p[i+1], p[i+2]) > 60) ++count;
                return count;""",
                canvas,
            )
            self.assertGreater(coloured, 20, f"{canvas} is empty")

    def runs_down(self, gauge):
        """Its words and its bar, also between two states of the gateway."""

        def seen():
            bar = self.one(f"{gauge} .bar")
            return self.text(f"{gauge} .words"), int(bar.get_attribute("aria-valuenow"))

        words, left = seen()
        self.assertRegex(words, r"\d\.\d s")
        self.until(lambda: seen()[1] < left and seen()[0] != words, f"{gauge} does not run down")

    def test_move_and_cancel_by_hand(self):
        self.may_fail = ("404",)
        gateway = self.serve(MODELS)
        self.hold(gateway, "slow")
        first, second, _ = self.line_up(gateway, "slow", [5, 6, 7])
        self.open(gateway, "slow")
        self.until_shown(3)
        ids = self.texts(".ticket code")
        # Asked, and left as it is.
        self.all(".ticket .cancel")[0].click()
        self.assertIn(ids[0], self.text("#ask-text"))
        self.one("#ask-no").click()
        self.assertFalse(self.one("#ask").is_displayed())
        self.assertEqual(gateway.waiting_count("slow"), 3)
        # Moved to the front; words that are no number are refused.
        self.all(".ticket .move")[2].click()
        field = self.one("#priority")
        field.clear()
        field.send_keys("1e99")
        self.one("#ask-yes").click()
        self.assertIn("A whole number", self.text("#ask-wrong"))
        field.clear()
        field.send_keys("-3")
        self.picture("move")
        self.one("#ask-yes").click()
        self.until(lambda: self.texts(".ticket code")[:1] == ids[2:], "it did not move")
        self.assertIn(f"Ticket {ids[2]} now has priority -3.", self.text("#done"))
        self.assertEqual(self.texts(".lane h3")[0], "Priority -3")
        self.assertEqual(gateway.queue("slow").tickets[0]["id"], ids[2])
        # Cancelled: its client hears of it.
        self.driver.find_element(By.CSS_SELECTOR, f'[data-id="{ids[0]}"] .cancel').click()
        self.one("#ask-yes").click()
        response = first.read_response(10)
        self.assertEqual(response.status, 503)
        self.assertIn("Cancelled by the operator", response.error["message"])
        self.until_shown(2)
        # One that has gone meanwhile: the page says so, and changes nothing.
        self.driver.find_element(By.CSS_SELECTOR, f'[data-id="{ids[1]}"] .cancel').click()
        second.close()
        gateway.wait_until_waiting(1, "slow")
        self.one("#ask-yes").click()
        self.until(lambda: "No ticket of this id waits" in self.text("#ask-wrong"))
        self.one("#ask-no").click()

    def test_by_keyboard_alone(self):
        gateway = self.serve(MODELS)
        self.hold(gateway, "slow")
        self.line_up(gateway, "slow", [5, 6, 7])
        self.open(gateway, "slow")
        self.until_shown(3)
        ids = self.texts(".ticket code")
        for _ in range(12):
            self.keys(Keys.TAB)
            if self.focused().get_attribute("data-id") == ids[0]:
                break
        self.assertEqual(self.focused().get_attribute("data-id"), ids[0])
        outline = self.driver.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
        self.assertNotEqual(outline, "none")
        self.keys(Keys.ARROW_DOWN)
        self.assertEqual(self.focused().get_attribute("data-id"), ids[1])
        self.keys("m")
        self.keys("1", Keys.ENTER)  # the old number is selected
        self.until(lambda: self.texts(".ticket code")[0] == ids[1])
        # The focus is where it was, though the row moved.
        self.assertEqual(self.focused().get_attribute("data-id"), ids[1])
        self.keys(Keys.DELETE)
        self.assertEqual(self.focused().get_attribute("id"), "ask-no")  # not on the harmful one
        self.keys(Keys.ESCAPE)
        self.assertEqual(gateway.waiting_count("slow"), 3)
        self.keys(Keys.DELETE)
        self.keys(Keys.TAB, Keys.ENTER)
        gateway.wait_until_waiting(2, "slow")
        self.until_shown(2)
        self.assertIn(self.focused().get_attribute("data-id"), ids)

    def test_ten_thousand_tickets(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        gateway = self.serve(MODELS)
        self.hold(gateway, "slow")
        request = {}
        for priority in (0, 10, 255):
            body = client.chat_body("hi", "slow", priority=priority)
            request[priority] = client.build_request("POST", "/v1/chat/completions", body, None, "127.0.0.1", "HTTP/1.1")
        for number in range(DEPTH - 2):
            connection = gateway.connect()
            connection.send(request[10 if number % 4 else 255])
            self.connections.append(connection)
        gateway.wait_until_waiting(DEPTH - 2, "slow")
        self.line_up(gateway, "slow", [0, 0])
        self.open(gateway)
        self.until(lambda: self.text("#figures dd").startswith("10,000"), "not all")
        # A few rows of each lane, and the count.
        self.assertEqual(self.texts(".lane h3"), ["Priority 0", "Priority 10", "Priority 255"])
        self.assertEqual(len(self.all(".ticket")), 2 + 10 + 10)
        self.assertLess(self.driver.execute_script("return document.querySelectorAll('*').length"), 1500)
        # Both of the first came last: they passed everybody.
        self.assertEqual(self.texts(".ticket .up")[0], "▲9,998")
        self.assertEqual(self.texts(".pager .range")[1:], ["1–10 of 7,498", "1–10 of 2,500"])
        self.picture("ten-thousand")
        # Further pages of a lane, and back.
        pager = self.one(".lane:nth-child(2) .pager")
        pager.find_element(By.CSS_SELECTOR, ".on").click()
        self.until(lambda: self.texts(".lane:nth-child(2) .place")[:1] == ["13."], "the second page")
        self.assertEqual(self.texts(".pager .range")[1], "11–20 of 7,498")
        wanted = [t["id"] for t in gateway.queue("slow?offset=12&limit=10").tickets]
        self.assertEqual(self.texts(".lane:nth-child(2) code"), wanted)
        pager.find_element(By.CSS_SELECTOR, ".back").click()
        self.until(lambda: self.texts(".lane:nth-child(2) .place")[:1] == ["3."], "the first page again")

    def test_names_are_text(self):
        gateway = self.serve(
            f"""
model_list:
  - model_name: '{HOSTILE}'
    litellm_params: {{model: openai/x, mock_response: "hi", mock_delay: 600, max_parallel_requests: 1}}
    model_info: {{id: '{HOSTILE}'}}
  - model_name: "family/*"
    litellm_params: {{model: "openai/*", mock_response: "hi"}}
"""
        )
        self.hold(gateway, HOSTILE)
        self.line_up(gateway, HOSTILE, [1])
        self.open(gateway)
        self.until_shown(1)
        self.assertEqual(self.text("#model"), HOSTILE)
        self.assertIn(HOSTILE, self.texts("#models .name"))
        self.assertEqual(self.texts(".deployment h3"), [HOSTILE])
        self.assertEqual(len(self.all("img")), 1)  # the icon
        # Its address works too, and what is done there reaches it.
        self.one(".ticket .cancel").click()
        self.one("#ask-yes").click()
        gateway.wait_until_waiting(0, urllib.parse.quote(HOSTILE))
        self.until(lambda: self.text("#blocked") == "Nobody waits.")
        self.one("#models li:nth-child(2) button").click()
        self.until(lambda: self.text("#model") == "family/*")
        self.assertNotIn("666", self.driver.title)

    def test_a_lost_connection(self):
        self.may_fail = ("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET", "ERR_EMPTY")
        first = Gateway(MODELS)
        first.start()
        self.stack.callback(first.kill)
        self.hold(first, "slow")
        self.line_up(first, "slow", [5])
        self.open(first, "slow")
        self.until_shown(1)
        # Frozen: nothing comes, and nothing says so.
        first.process.send_signal(signal.SIGSTOP)
        self.until(lambda: "connection lost" in self.text("#connection"), timeout_s=15)
        self.assertIn("stale", self.one("body").get_attribute("class"))
        self.assertEqual(len(self.all(".ticket")), 1)  # what was last known, greyed
        self.picture("lost")
        first.process.send_signal(signal.SIGCONT)
        self.until_live()
        self.assertEqual(self.one("body").get_attribute("class"), "")
        # Gone, and another one in its place.
        first.kill()
        self.until(lambda: "connection lost" in self.text("#connection"))
        self.assertIn("next try in", self.text("#connection"))
        with mock.patch.object(gateways, "free_port", lambda: first.admin_port):
            second = self.serve(MODELS, port=gateways.random.randint(18000, 31000))
        self.one("#retry").click()
        self.until_live()
        self.until(lambda: self.text("#blocked") == "Nobody waits.")
        self.line_up(second, "counted", [])

    def test_too_many_viewers(self):
        self.may_fail = ("503",)
        gateway = self.serve(MODELS)
        viewers = []
        for _ in range(8):
            viewers.append(client.Connection(gateway.admin_port))
            self.stack.callback(viewers[-1].close)
            viewers[-1].request("GET", "/events?model=slow")
            while b"event: state" not in viewers[-1].buffer:
                self.assertTrue(viewers[-1].receive_more())
        self.open(gateway)
        self.until(lambda: "has 8 viewers already" in self.text("#connection"))
        # The others of the port are served all the same.
        self.assertEqual(gateway.admin_get("/queue").status, 200)
        viewers[0].close()
        self.until_live()

    def test_the_key_is_asked_for_off_loopback(self):
        self.may_fail = ("401",)
        gateway = self.serve(
            MODELS
            + """
general_settings:
  master_key: sk-master
vorrang_settings:
  admin_host: 0.0.0.0
"""
        )
        self.open(gateway)
        self.until(lambda: self.one("#key").is_displayed())
        self.assertFalse(self.one("#main").is_displayed())
        self.assertEqual(self.focused().get_attribute("id"), "key-field")
        self.keys("sk-wrong", Keys.ENTER)
        self.until(lambda: "not the master key" in self.text("#key-wrong"))
        self.picture("key")
        self.keys("sk-master", Keys.ENTER)
        self.until_live()
        self.assertTrue(self.one("#main").is_displayed())
        with_key = {"Authorization": "Bearer sk-master"}
        connection = gateway.send_chat(model="slow", headers=with_key)
        self.connections.append(connection)
        self.connections.append(gateway.send_chat(model="slow", headers=with_key))
        self.until_shown(1)
        self.one(".ticket .cancel").click()
        self.one("#ask-yes").click()
        self.until_shown(0)
        # It stands in no address and in no storage.
        stored = self.driver.execute_script(
            "return JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
        )
        self.assertNotIn("sk-", stored)
        self.assertEqual([r["url"] for r in Page.asked_addresses() if "sk-" in r["url"]], [])

    def test_the_address_names_the_model(self):
        gateway = self.serve(MODELS)
        self.open(gateway, "%")  # is none
        self.until_live()
        self.until(lambda: self.text("#model") == "slow")
        self.driver.execute_script("location.hash = '#model=counted'")
        self.until(lambda: self.text("#model") == "counted")
        self.keys(Keys.TAB, Keys.ENTER)  # skips to the line
        self.assertEqual(self.focused().get_attribute("id"), "line")
        self.assertTrue(self.driver.current_url.endswith("#model=counted"))

    def test_light_dark_and_small(self):
        gateway = self.serve(MODELS)
        self.hold(gateway, "slow")
        self.line_up(gateway, "slow", [9, 5, 0])
        self.open(gateway)
        self.until_shown(3)

        def ground():
            return self.driver.execute_script("return getComputedStyle(document.body).backgroundColor")

        def prefer(scheme):
            feature = [{"name": "prefers-color-scheme", "value": scheme}]
            self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": feature})

        prefer("light")
        light = ground()
        prefer("dark")
        dark = ground()
        self.assertNotEqual(light, dark)
        chooser = self.one("#theme")
        for name, wanted in (("light", light), ("dark", dark), ("auto", dark)):
            chooser.find_element(By.CSS_SELECTOR, f"[value={name}]").click()
            self.assertEqual(ground(), wanted)
        for scheme in ("light", "dark"):
            prefer(scheme)
            for pair in self.contrasts():
                self.assertGreaterEqual(pair[2], 4.5, f"{scheme}: {pair}")
        prefer("light")
        phone = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
        wide = "return [document.documentElement.scrollWidth, window.innerWidth]"
        self.until(lambda: self.driver.execute_script(wide)[1] == 390, "not small")
        scroll, width = self.driver.execute_script(wide)
        self.assertLessEqual(scroll, width)
        self.assertTrue(self.all(".ticket .cancel")[0].is_displayed())
        self.picture("phone")

    def contrasts(self):
        """Of the colours of words with the ground they stand on, as WCAG counts them."""
        return self.driver.execute_script(
            """const colour = (name) => {
              const probe = document.createElement("span");
              probe.style.color = `var(--${name})`;
              document.body.append(probe);
              const parts = getComputedStyle(probe).color.match(/[\\d.]+/g).slice(0, 3).map(Number);
              probe.remove();
              const [r, g, b] = parts.map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
              return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const pairs = [];
            for (const ground of ["card", "head", "passed", "passer"])
              for (const ink of ["text", "quiet", "good", "busy", "bad"]) {
                if (ground !== "card" && ink === "busy") continue;
                const [a, b] = [colour(ground), colour(ink)].sort((x, y) => y - x);
                pairs.push([ground, ink, (a + 0.05) / (b + 0.05)]);
              }
            return pairs;"""
        )


class MadeUpGateway(http.server.ThreadingHTTPServer):
    """The page's own files from a gateway, and a stream of states that a test makes up."""

    daemon_threads = True

    def __init__(self, gateway, state_for):
        self.gateway = gateway
        self.state_for = state_for  # of a model
        self.refusal = None  # a status and an error, in place of the stream
        super().__init__(("127.0.0.1", 0), MadeUpAnswer)
        self.admin_port = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        self.refusal = 503, "over"
        self.shutdown()
        self.server_close()


class MadeUpAnswer(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path.startswith("/events"):
            return self.events(urllib.parse.parse_qs(self.path.partition("?")[2]).get("model", [""])[0])
        response = self.server.gateway.admin_get(self.path)
        self.answer(response.status, response.header("content-type"), response.body)

    def answer(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", len(body))
        self.end_headers()
        self.wfile.write(body)

    def events(self, model):
        if self.server.refusal:
            status, message = self.server.refusal
            return self.answer(status, "application/json", json.dumps({"error": {"message": message}}).encode())
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        with contextlib.suppress(OSError):
            while not self.server.refusal:
                state = json.dumps(self.server.state_for(model))
                self.wfile.write(f"event: state\ndata: {state}\n\n".encode())
                time.sleep(0.1)


def made_queue(model, waiting=0, **more):
    return {"model": model, "waiting": waiting, "in_flight": 0, "oldest_wait_ms": 0, "state": "alone", "inversions": 0,
            "cooling": 0, "deployments": 1, "retired": False, "blocked": None, **more}  # fmt: skip


def made_ticket(position, **more):
    return {"id": str(2**64 - position), "priority": 5, "position": position, "arrival": position, "waited_ms": 1,
            "deadline": None, "deadline_in_ms": None, "instance": None, "why": "behind-others", "reason": "waits",
            "ready_in_ms": None, "attempts": 0, "bytes": 1, "overtook": 0, "overtaken": 0, **more}  # fmt: skip


def made_lane(priority, tickets, count=None):
    return {"priority": priority, "count": count or len(tickets), "first_position": tickets[0]["position"],
            "oldest_wait_ms": 1, "tickets": tickets}  # fmt: skip


def made_state(queues, model, lanes=(), late=(), **more):
    found = [queue for queue in queues if queue["model"] == model]
    line = {"model": model, "lanes": list(lanes), "deployments": []}
    line["in_lanes"] = sum(lane["count"] for lane in lanes)
    return {"at": "2026-01-31T12:00:00.125Z", "version": "1", "draining": False, "redis_reachable": None,
            "queues": queues, "late": list(late), "line": line if found else None, "history": None, **more}  # fmt: skip


class MadeUpStates(Case):
    """What a real gateway shows too seldom, or too late."""

    def show(self, state_for):
        made = MadeUpGateway(self.serve(MODELS), state_for)
        self.stack.callback(made.close)
        return made

    def test_a_group_that_is_late_stays_the_chosen_one(self):
        both = [made_queue("a", 9), made_queue("b", 1)]
        states = {"b is there": lambda model: made_state(both, model, [made_lane(5, [made_ticket(1)])]),
                  "b is late": lambda model: made_state(both[:1], model, late=["b"])}  # fmt: skip
        made = self.show(states["b is there"])
        self.open(made, "b")
        self.until(lambda: self.text("#model") == "b")
        made.state_for = states["b is late"]
        self.until(lambda: self.text("#notice") == "No answer in time from: b.")
        time.sleep(0.5)  # some states later
        self.assertEqual(self.text("#model"), "b")
        self.assertTrue(self.driver.current_url.endswith("#model=b"))
        self.assertEqual(self.texts("#models .name"), ["a"])

    def test_notices(self):
        queues = [made_queue("a", 1, state="held", blocked="nothing is granted while Redis is away"),
                  made_queue("gone", retired=True)]  # fmt: skip
        made = self.show(lambda model: made_state(queues, model, draining=True, redis_reachable=False))
        self.open(made, "a")
        self.until(lambda: self.one("#notice").is_displayed())
        self.assertEqual(
            self.text("#notice"),
            "The gateway is draining: it takes no new requests. Redis does not answer: the lines are not shared. "
            "1 held: nothing is granted there until Redis is back.",
        )
        self.assertEqual(self.texts("#models .about"), ["0 running · held", "0 running · removed"])
        self.picture("notices")

    def test_many_models_and_priorities(self):
        lanes = [made_lane(n, [made_ticket(n + 1, priority=n)]) for n in range(24)]
        queues = [made_queue("a0", 84)] + [made_queue(f"a{n}") for n in range(1, 70)]
        made = self.show(lambda model: made_state(queues, model, lanes))
        self.open(made)
        self.until_shown(24)
        self.assertEqual(self.text("#left-out"), "60 more stand behind these.")
        self.assertEqual(self.text("#models-more"), "10 more: narrow the search")
        self.assertEqual(len(self.all("#models li")), 60)
        self.one("#filter").send_keys("A69")
        self.until(lambda: self.texts("#models .name") == ["a69"])
        self.assertFalse(self.one("#models-more").is_displayed())

    def test_a_key_that_is_asked_for_after_a_loss(self):
        self.may_fail = ("503", "401", "ERR_")
        made = self.show(lambda model: made_state([made_queue("a")], model))
        self.open(made, "a")
        self.until_live()
        made.refusal = 503, "not now"
        self.until(lambda: "connection lost (not now)" in self.text("#connection"))
        self.assertEqual(self.text("[role=status]#connection-state"), "connection lost (not now)")  # what is read out
        made.refusal = 401, "with a key"
        self.one("#retry").click()
        self.until(lambda: self.one("#key").is_displayed())
        time.sleep(0.6)  # the clock of a lost connection does not go on
        self.assertEqual(self.text("#connection"), "the master key is needed")
        self.assertEqual(self.one("body").get_attribute("class"), "")
        made.refusal = None
        self.keys("sk", Keys.ENTER)
        self.until_live()
        self.assertTrue(self.one("#main").is_displayed())

    def test_nothing_is_cut_off(self):
        long = {"waited_ms": 599_000, "deadline_in_ms": 83_000_000, "overtook": 9_998, "overtaken": 9_998,
                "reason": "waits for a free slot or rpm or tpm: next unit in 12.4 s", "attempts": 12}  # fmt: skip
        tickets = [made_ticket(1, **long), made_ticket(9_998, **long), made_ticket(10_000)]
        state = [made_queue("a", 3)]
        made = self.show(lambda model: made_state(state, model, [made_lane(5, tickets)]))
        self.open(made, "a")
        self.until_shown(3)
        self.assertEqual(self.cut_off(), [])
        # In columns, though the head is bold.
        lefts = "return [...document.querySelectorAll('.ticket .move')].map((e) => e.getBoundingClientRect().left)"
        self.assertEqual(len(set(self.driver.execute_script(lefts))), 1)
        self.picture("long")
        phone = {"width": 360, "height": 800, "deviceScaleFactor": 2, "mobile": True}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
        self.until(lambda: self.driver.execute_script("return window.innerWidth") == 360)
        self.assertEqual(self.cut_off(), [])
        self.picture("long-phone")

    def cut_off(self):
        """Cells of tickets whose words do not fit, and those that lie over another."""
        return self.driver.execute_script(
            """const found = [];
            for (const row of document.querySelectorAll(".ticket")) {
              const boxes = [...row.children].map((cell) => [cell, cell.getBoundingClientRect()]);
              for (const [cell, box] of boxes) {
                if (cell.scrollWidth > cell.clientWidth) found.push([cell.className, cell.textContent]);
                for (const [other, its] of boxes)
                  if (cell !== other && box.left < its.right - 1 && its.left < box.right - 1 &&
                      box.top < its.bottom - 1 && its.top < box.bottom - 1) found.push([cell.className, other.className]);
              }
            }
            return found;"""
        )
