"""Looks at the live page of a real worker in headless Chromium.

    python tests/browser/page.py path/to/hyperfake [TEST]

Needs selenium and grpcio, and Debian's chromium and chromium-driver. A folder that HYPERFAKE_SCREENSHOTS names gets
a picture of each state that is tested.
"""

import http.server
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import grpc
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

# A name that runs in a page that shows it as HTML, or in a file that holds it as it is.
HOSTILE = '"><script>window.hacked = 1</script><img src=x onerror="window.hacked = 2">'
SLOW, QUICK = f"slow {HOSTILE}", "quick"
# Long enough to be seen and short enough to wait for, in seconds.
RUN_TIME = 4
# A scenario with a fault that is switched on in the page.
SCENARIO = "version: 1\nfaults:\n- {name: broken, status: INTERNAL, enabled: false}\n"
# What a machine with other work may need for what usually takes a moment, in seconds.
PATIENCE = 30

program = None


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def wait_for(what: str, condition, patience: float = PATIENCE):
    """The first value of the condition that is true; how long it took is not looked at."""
    end = time.monotonic() + patience
    while not (value := condition()):
        assert time.monotonic() < end, f"{what}: not within {patience} s"
        time.sleep(0.05)
    return value


class Registry(http.server.BaseHTTPRequestHandler):
    """A function store that knows every function: its image is the first word of its id."""

    def do_GET(self):
        function = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        config = {
            "mem_limit": 1 << 27,
            "cpu_quota": 50_000,
            "cpu_period": 100_000,
            "timeout": 60,
            "max_concurrency": 500,
        }
        image = function.split()[:1]
        answer = json.dumps({"image_tag": "".join(image), "config": config}).encode()
        # The worker may ask for nothing, to see whether a store is there.
        self.send_response(200 if image else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


class Worker:
    """The program, which can be stopped and started again at the same ports."""

    def __init__(self, folder: pathlib.Path, *options: str):
        self.folder, self.options = folder, options
        self.grpc, self.http = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        self.registry = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
        threading.Thread(target=self.registry.serve_forever, daemon=True).start()
        for name, run_time in (("slow", RUN_TIME), ("quick", 0.01)):
            model = {"kind": "constant", "runtime_ns": run_time * 1e9, "cpu_cores": 0.5, "ram_bytes": 8e6}
            (folder / f"{name}.json").write_text(json.dumps(model))
        self.start()

    @property
    def url(self) -> str:
        return f"http://{self.http}/"

    def start(self):
        command = [
            program,
            "server",
            "--address",
            self.grpc,
            "--http",
            self.http,
            "--cold-start",
            "100ms",
            "--database-type",
            "http",
            "--database-address",
            f"http://127.0.0.1:{self.registry.server_port}",
            "--etcd-listen",
            "off",
            "--models-dir",
            str(self.folder),
            *self.options,
        ]
        self.log = open(self.folder / "log", "ab")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        self.channel = grpc.insecure_channel(self.grpc)
        grpc.channel_ready_future(self.channel).result(PATIENCE)

    def stop(self):
        if self.process.poll() is not None:
            return
        self.channel.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            # A page that reads the stream must not keep the worker alive; a second signal ends calls.
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(PATIENCE)
        self.log.close()

    def _ask(self, method: str, message: bytes):
        return self.channel.unary_unary(f"/controller.Controller/{method}").future(message)

    def instance(self, function: str):
        """Starts an instance of the function. Its id is field 1 of the message."""
        self._ask("Start", field(1, function.encode())).result(PATIENCE)

    def call(self, function: str):
        """Calls the function: its FunctionID is field 4 of the message."""
        return self._ask("Call", field(4, field(1, function.encode())))


def field(number: int, value: bytes) -> bytes:
    """A field of bytes in protobuf's encoding."""
    length, size = len(value), b""
    while length > 0x7F:
        size, length = size + bytes([length & 0x7F | 0x80]), length >> 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + value


class Browser:
    def __init__(self, downloads: pathlib.Path, has_scripts: bool = True):
        options = webdriver.ChromeOptions()
        # The tests run as root in a container, where the sandbox and /dev/shm are missing.
        for argument in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "window-size=1400,1000"):
            options.add_argument(f"--{argument}")
        preferences = {"download.default_directory": str(downloads), "download.prompt_for_download": False}
        if not has_scripts:
            preferences["profile.managed_default_content_settings.javascript"] = 2
        options.add_experimental_option("prefs", preferences)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        names = ("chromium", "chromium-browser", "google-chrome")
        options.binary_location = next(filter(None, map(shutil.which, names)), "chromium")
        driver = shutil.which("chromedriver") or "/usr/bin/chromedriver"
        self.driver = webdriver.Chrome(options, webdriver.ChromeService(driver))

    def text(self, selector: str) -> str:
        """The text of all elements that match, on the screen: elsewhere, nothing is drawn."""
        script = """const all = [...document.querySelectorAll(arguments[0])];
            all[0]?.scrollIntoView({block: 'center'});
            return all.map((one) => one.textContent).join('\\n')"""
        return self.driver.execute_script(script, selector)

    def tile(self, title: str) -> str:
        script = """const tile = [...document.querySelectorAll('.tile')]
            .find((one) => one.querySelector('dt').textContent === arguments[0]);
            return tile ? tile.querySelector('.value').textContent : ''"""
        return self.driver.execute_script(script, title)

    def open(self, url: str):
        self.errors(), self.requests()
        self.driver.get(url)
        wait_for("the page is live", lambda: self.text("#state") == "live")

    def errors(self) -> list[str]:
        """What the console said since it was asked last; Chromium keeps warnings of its own apart."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def requests(self) -> list[str]:
        events = (json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance"))
        return [
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        ]

    def picture(self, name: str):
        if folder := os.environ.get("HYPERFAKE_SCREENSHOTS"):
            self.driver.save_screenshot(str(pathlib.Path(folder) / f"{name}.png"))


class ThePage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.temporary.cleanup)
        folder = pathlib.Path(cls.temporary.name)
        cls.downloads, cls.models = folder / "downloads", folder / "models"
        cls.downloads.mkdir()
        cls.models.mkdir()
        cls.browser = Browser(cls.downloads)
        cls.addClassCleanup(cls.browser.driver.quit)

    def setUp(self):
        """A worker that was not called yet."""
        self.worker = Worker(self.models, "--admin")
        self.addCleanup(self.worker.stop)
        self.addCleanup(self.browser.driver.get, "about:blank")

    def test_a_running_call_is_shown_within_two_seconds(self):
        self.browser.open(self.worker.url)
        self.worker.instance(SLOW)
        # The best of three: once, the machine may have had other things to do.
        took = []
        for _ in range(3):
            wait_for("no call is in flight", lambda: self.browser.tile("Calls in flight") == "0")
            begin = time.monotonic()
            call = self.worker.call(SLOW)
            wait_for("the call is in flight", lambda: self.browser.tile("Calls in flight") == "1", RUN_TIME)
            took.append(time.monotonic() - begin)
            call.result(PATIENCE)
        self.assertLess(min(took), 2)
        wait_for("the call is among the slowest", lambda: "slow" in self.browser.text("#calls-table tbody"))
        self.assertEqual(self.browser.errors(), [])
        self.browser.picture("call")

    def test_every_request_goes_to_the_worker(self):
        self.browser.open(self.worker.url)
        self.worker.instance(QUICK)
        for _ in range(20):
            self.worker.call(QUICK).result(PATIENCE)
        wait_for("the function is listed", lambda: "quick" in self.browser.text("#functions-table tbody"))
        time.sleep(3)
        requests = self.browser.requests()
        elsewhere = [url for url in requests if not url.startswith(self.worker.url)]
        self.assertEqual(elsewhere, [])
        self.assertGreater(len(requests), 5)
        self.assertEqual(self.browser.errors(), [])

    def test_a_name_that_is_a_script_is_shown_as_text(self):
        self.browser.open(self.worker.url)
        self.worker.instance(SLOW)
        self.worker.call(SLOW).result(PATIENCE)
        wait_for("the function is listed", lambda: HOSTILE in self.browser.text("#functions-table tbody"))
        self.assertIsNone(self.browser.driver.execute_script("return window.hacked ?? null"))
        self.assertEqual(self.browser.errors(), [])

    def test_the_page_survives_the_restart_of_the_worker(self):
        self.browser.open(self.worker.url)
        self.worker.stop()
        wait_for("the loss is told", lambda: self.browser.text("#state") == "no connection")
        self.assertIn("does not answer", self.browser.text("#banner"))
        self.browser.picture("lost")
        self.worker.start()
        wait_for("the page is live again", lambda: self.browser.text("#state") == "live")
        self.worker.instance(QUICK)
        self.worker.call(QUICK).result(PATIENCE)
        wait_for("the new worker's call is seen", lambda: "quick" in self.browser.text("#calls-table tbody"))
        # That there was no listener at the port is what the browser says by itself.
        errors = [error for error in self.browser.errors() if "net::ERR_" not in error]
        self.assertEqual(errors, [])

    def test_a_saved_run_opens_from_the_disk_without_the_worker(self):
        self.browser.open(self.worker.url)
        self.worker.instance(SLOW)
        self.worker.call(SLOW).result(PATIENCE)
        wait_for("the function is listed", lambda: HOSTILE in self.browser.text("#functions-table tbody"))
        wait_for("the call is listed", lambda: "slow" in self.browser.text("#calls-table tbody"))
        self.worker.stop()
        wait_for("the loss is told", lambda: self.browser.text("#state") == "no connection")
        shown = {part: self.browser.text(part) for part in ("#functions-table", "#calls-table", "#tiles")}
        self.browser.driver.find_element(By.ID, "save").click()
        saved = wait_for("the file is there", lambda: list(self.downloads.glob("hyperfake-run-*.html")))[0]
        self.browser.errors(), self.browser.requests()
        self.browser.driver.get(saved.as_uri())
        wait_for("the saved run is shown", lambda: self.browser.text("#state") == "saved run")
        for part, text in shown.items():
            wait_for(f"{part} says what it said", lambda: self.browser.text(part) == text)
        curves = "return document.querySelectorAll('.plot canvas').length"
        wait_for("there are curves", lambda: self.browser.driver.execute_script(curves) == 3)
        self.assertIsNone(self.browser.driver.execute_script("return window.hacked ?? null"))
        self.assertEqual(self.browser.errors(), [])
        self.assertEqual([url for url in self.browser.requests() if url != saved.as_uri()], [])
        self.browser.picture("saved")

    def test_a_fault_that_is_switched_on_shows_in_the_curves(self):
        self.browser.open(self.worker.url)
        self.worker.instance(QUICK)
        driver = self.browser.driver
        text, says = (
            driver.find_element(By.ID, "scenario-text"),
            lambda: self.browser.text("#scenario-answer"),
        )
        self.browser.text("#admin")
        text.clear()
        text.send_keys("faults: [{nam: broken}]")
        driver.find_element(By.ID, "scenario-check").click()
        wait_for("the mistake is told", lambda: "nam" in says())
        text.clear()
        text.send_keys(SCENARIO)
        driver.find_element(By.ID, "scenario-check").click()
        wait_for("the scenario is right", lambda: "takes this scenario" in says())
        driver.find_element(By.ID, "scenario-apply").click()
        wait_for("the fault is listed", lambda: "broken" in self.browser.text("#faults"))
        # That the first text was refused is what the browser says by itself.
        self.assertEqual([error for error in self.browser.errors() if "422" not in error], [])
        driver.find_element(By.CSS_SELECTOR, "#faults button").click()
        wait_for("the change is listed", lambda: "fault broken on" in self.browser.text("#changes"))
        shown = """return [...document.querySelectorAll('#rate .legend li')]
            .some((one) => !one.hidden && one.textContent.startsWith('fault'))"""
        self.browser.text("#rate")
        self.assertFalse(driver.execute_script(shown))
        with self.assertRaises(grpc.RpcError):
            self.worker.call(QUICK).result(PATIENCE)
        wait_for("the curve is there", lambda: driver.execute_script(shown))
        driver.find_element(By.ID, "calls-failed").click()
        wait_for("the call is listed", lambda: "broken" in self.browser.text("#calls-table tbody"))
        self.browser.picture("fault")
        driver.find_element(By.CSS_SELECTOR, "#faults button").click()
        wait_for("the fault is off", lambda: "fault broken off" in self.browser.text("#changes"))
        self.worker.call(QUICK).result(PATIENCE)
        self.assertEqual(self.browser.errors(), [])

    def test_numbers_have_units_and_three_digits_and_what_is_not_known_is_a_dash(self):
        self.browser.open(self.worker.url)
        script = """const [made, done] = arguments;
            import('./format.js').then((format) => done(made.map(([name, value]) => format[name](value))))"""
        expected = {
            ("seconds", 0.000_0123): "12.3 µs",
            ("seconds", 0.9999): "1.00 s",
            ("seconds", 0): "0 s",
            ("seconds", None): "–",
            ("bytes", 5): "5 B",
            ("bytes", 999.9): "1.00 kB",
            ("bytes", 8_000_000): "8.00 MB",
            ("bytes", None): "–",
            ("number", 12): "12",
            ("number", 0.5): "0.500",
            ("number", 1_234_567.8): "1,234,568",
            ("number", None): "–",
            ("percent", 0.5): "50.0 %",
            ("percent", 1): "100 %",
            ("percent", 0.001_234): "0.12 %",
            ("percent", None): "–",
            ("span", 59.9): "59 s",
            ("span", 3_601): "1 h 0 min",
            ("span", 90_061): "1 d 1 h",
            ("count", 1_234_567): "1,234,567",
            ("tick", "1.50 s"): "1.5 s",
            ("tick", "10.0 s"): "10 s",
            ("tick", "100 ms"): "100 ms",
            ("short", "x" * 50): "x" * 20 + "…" + "x" * 19,
            ("plain", "a\u202eb\0c"): "a\ufffdb\ufffdc",
        }
        made = self.browser.driver.execute_async_script(script, list(expected))
        self.assertEqual(dict(zip(expected, made)), expected)

    def test_the_page_is_used_by_keyboard(self):
        self.browser.open(self.worker.url)
        self.worker.instance(QUICK)
        wait_for("the strip has a row", lambda: "1 instance" in self.browser.text("#strip-about"))
        driver = self.browser.driver
        driver.execute_script("document.activeElement.blur()")
        reached = set()
        for _ in range(60):
            driver.switch_to.active_element.send_keys(Keys.TAB)
            reached.add(
                driver.execute_script("return document.activeElement.id || document.activeElement.className")
            )
        for part in (
            "pause",
            "save",
            "theme",
            "function",
            "window",
            "plot",
            "strip-canvas",
            "functions-find",
            "calls-failed",
        ):
            self.assertIn(part, reached)
        driver.find_element(By.ID, "strip-canvas").send_keys(Keys.ARROW_DOWN)
        wait_for("the row is said", lambda: "quick" in self.browser.text("#spoken"))
        self.assertEqual(self.browser.errors(), [])

    def test_nothing_is_wider_than_a_phone(self):
        self.browser.open(self.worker.url)
        driver = self.browser.driver
        metrics = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.addCleanup(driver.execute_cdp_cmd, "Emulation.clearDeviceMetricsOverride", {})
        width = "return document.documentElement.scrollWidth"
        wait_for("the page is narrow", lambda: driver.execute_script(width) <= 360)
        self.browser.picture("phone")

    def test_without_scripts_there_is_a_table(self):
        self.worker.instance(SLOW)
        self.worker.call(SLOW).result(PATIENCE)
        browser = Browser(self.downloads, has_scripts=False)
        self.addCleanup(browser.driver.quit)
        browser.driver.get(self.worker.url)
        wait_for("the table is shown", lambda: browser.driver.current_url == f"{self.worker.url}table")
        body = browser.driver.find_element(By.TAG_NAME, "body").text
        self.assertIn("slow", body)
        self.assertIn("window.hacked", body)
        self.assertEqual(browser.errors(), [])


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    program = sys.argv.pop(1)
    unittest.main(verbosity=2)
