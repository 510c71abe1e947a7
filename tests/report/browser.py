"""Headless Chromium, driven over the WebDriver protocol; Debian's packages chromium and chromium-driver."""

import base64
import contextlib
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

needs_chromium = pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("chromedriver")), reason="chromium and chromium-driver are needed"
)

ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


class Browser:
    """One browser window."""

    def __init__(self, address, profile, arguments=(), preferences=None):
        self.address = address
        options = {
            "args": [*ARGUMENTS, *arguments, f"--user-data-dir={profile}"],
            "binary": shutil.which("chromium"),
            "prefs": preferences or {},
        }
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        answer = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.session = f"/session/{answer['sessionId']}"

    def _ask(self, method, path, content=None):
        body = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(self.address + path, body, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, path):
        """Open a file and wait until it is loaded."""
        self.visit(path.resolve().as_uri())

    def visit(self, address):
        """Go to an address and wait until it is loaded."""
        self._ask("POST", self.session + "/url", {"url": address})

    def find(self, selector):
        """Return the first element that a CSS selector finds, for `type` and `click`."""
        found = self._ask("POST", self.session + "/element", {"using": "css selector", "value": selector})
        return next(iter(found.values()))

    def type(self, selector, text):
        """Type into an element, as a person does; a file field takes paths with line feeds between them."""
        self._ask("POST", f"{self.session}/element/{self.find(selector)}/value", {"text": text})

    def click(self, selector):
        """Click on the middle of an element, as a person does."""
        self._ask("POST", f"{self.session}/element/{self.find(selector)}/click", {})

    def wait(self, script, *arguments, seconds=60):
        """Wait until the body of a JavaScript function returns something true; return it."""
        end = time.monotonic() + seconds
        while not (found := self.run(script, *arguments)):
            if time.monotonic() > end:
                raise TimeoutError(script)
            time.sleep(0.05)
        return found

    def run(self, script, *arguments):
        """Run the body of a JavaScript function; return what it returns."""
        return self._ask("POST", self.session + "/execute/sync", {"script": script, "args": list(arguments)})

    def emulate(self, command, **settings):
        """Send a command of the developer tools."""
        return self._ask("POST", self.session + "/goog/cdp/execute", {"cmd": command, "params": settings})

    def logs(self, kind):
        """Return what the browser has logged since it was last asked: `browser` messages or `performance` events."""
        return self._ask("POST", self.session + "/se/log", {"type": kind})

    def picture(self):
        """Return a PNG of the window."""
        return base64.b64decode(self._ask("GET", self.session + "/screenshot"))

    def close(self):
        """End the session and the browser with it."""
        self._ask("DELETE", self.session)


@contextlib.contextmanager
def browser(profile, arguments=(), preferences=None):
    """Start a driver and a browser whose profile lies in the folder `profile`; end both.

    `arguments` and `preferences` are Chromium's, such as a camera that shows a test picture.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [shutil.which("chromedriver"), f"--port={port}", "--silent"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as driver:
        try:
            _wait(address)
            window = Browser(address, profile, arguments, preferences)
            try:
                yield window
            finally:
                window.close()
        finally:
            driver.terminate()


def _wait(address):
    for _ in range(100):
        try:
            with urllib.request.urlopen(address + "/status", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    raise TimeoutError("chromedriver does not answer")
