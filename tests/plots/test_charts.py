import re
from xml.etree import ElementTree

import pytest

from captioner.plots.charts import HEIGHT, WIDTH, Series, columns, curves, nice_step

EPOCHS = [1.0, 2.0, 3.0, 4.0]


def numbers(chart, tag, *names):
    return [tuple(float(found.get(name)) for name in names) for found in ElementTree.fromstring(chart).iter(tag)]


def test_curves_are_well_formed_and_inside_the_frame():
    lines = [Series("model", "dev <loss>", [4, 3, 2.5, 2.6]), Series("people", "training", [4, 2.5, 2, 1.5])]
    chart = curves("Loss & more", EPOCHS, lines, marked=3)
    root = ElementTree.fromstring(chart)
    assert root.get("aria-label") == "Loss & more" and len(list(root.iter("polyline"))) == 2
    points = numbers(chart, "circle", "cx", "cy")
    assert len(points) == 8 and all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)
    heights = [y for _, y in points[:4]]
    assert heights[0] < heights[1] < heights[3] < heights[2]  # a smaller value stands lower, at a larger y
    [(at, _)] = [pair for pair in numbers(chart, "line", "x1", "x2") if pair[0] == pair[1]]
    assert at == points[2][0]


@pytest.mark.parametrize("values", [[0.0], [3.0], [2.0, 2.0, 2.0], [-1.0, 0.0], [1e-7, 3e-7], [0, 1e9]])
def test_any_values_can_be_drawn(values):
    chart = curves("x", [float(n) for n in range(len(values))], [Series("model", "x", values)])
    assert all(0 <= y <= HEIGHT for (y,) in numbers(chart, "circle", "cy"))


def test_bars_rise_with_their_values_and_the_outline_is_to_the_same_scale():
    chart = columns(
        "Words", ["0", "1", "2"], Series("model", "m", [0.0, 0.5, 0.25]), Series("people", "p", [0.5, 0.5, 0])
    )
    bars = numbers(chart, "rect", "y", "height")
    assert bars[0][1] == 0 and bars[1][1] == pytest.approx(2 * bars[2][1], abs=0.2)
    outline = re.search(r'polyline[^>]*points="([^"]*)"', chart)[1].split()
    assert float(outline[0].split(",")[1]) == bars[1][0]


@pytest.mark.parametrize(("rough", "step"), [(0.3, 0.5), (1, 1), (1.2, 2), (5.1, 10), (0.011, 0.02), (300, 500)])
def test_steps_are_round(rough, step):
    assert nice_step(rough) == pytest.approx(step)
