"""The pages under axe-core, which knows what screen readers and keyboards need."""

import os
from pathlib import Path

import pytest

from tests.report.browser import browser, needs_chromium
from tests.serving.server import picture
from tests.serving.test_page import SIZES, choose, visit

# no part of the project: `npm install axe-core` brings it
AXE = Path(os.environ.get("AXE_CORE", "node_modules/axe-core/axe.min.js"))
pytestmark = [
    needs_chromium,
    pytest.mark.skipif(not AXE.is_file(), reason="axe-core is needed: npm install, or AXE_CORE names axe.min.js"),
]
RUN = """
    window.found = undefined;
    axe.run(document, { resultTypes: ["violations"] }).then((all) => {
      window.found = all.violations.map((one) => [one.id, one.impact, one.help, one.nodes.map((node) => node.html)]);
    });
"""


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as window:
        yield window


def faults(window):
    """Return what axe-core finds: rule, impact, what it wants, and the elements."""
    window.run(AXE.read_text(encoding="utf-8") + "\nwindow.axe = axe;")
    window.run(RUN)
    window.wait("return window.found !== undefined")
    return window.run("return window.found")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_page(window, client, tmp_path, width, height, scheme):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    window.emulate("Emulation.setEmulatedMedia", features=features)
    window.emulate(
        "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
    )
    visit(window, client)
    assert faults(window) == []
    for seed in range(2):
        (tmp_path / f"{seed}.png").write_bytes(picture(seed, (320, 240)))
    (tmp_path / "none.png").write_bytes(b"hello")
    choose(window, *sorted(tmp_path.iterdir()))
    assert faults(window) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_documentation(window, client, scheme):
    window.emulate("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    window.visit(client.address + "/docs")
    window.wait("return document.querySelector('h2, details')")
    assert faults(window) == []
