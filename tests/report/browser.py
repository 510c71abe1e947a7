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

    def __init__(self, address, profile):
        self.address = address
        options = {"args": [*ARGUMENTS, f"--user-data-dir={profile}"], "binary": shutil.which("chromium")}
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
        self._ask("POST", self.session + "/url", {"url": path.resolve().as_uri()})

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
def browser(profile):
    """Start a driver and a browser whose profile lies in the folder `profile`; end both."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [shutil.which("chromedriver"), f"--port={port}", "--silent"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as driver:
        try:
            _wait(address)
            window = Browser(address, profile)
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
