"""Where real data lies, and marks that skip a test by name where it does not."""

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared" / "data"
FLICKR8K = SHARED / "flickr8k"
COCO_MINI = SHARED / "coco-mini"
KNOWN_ANSWERS = SHARED / "metrics-known-answers"

needs_flickr8k = pytest.mark.skipif(not FLICKR8K.is_dir(), reason="Flickr8k is not beside the checkout")
needs_coco_mini = pytest.mark.skipif(not COCO_MINI.is_dir(), reason="coco-mini is not beside the checkout")
needs_known_answers = pytest.mark.skipif(not KNOWN_ANSWERS.is_dir(), reason="known answers are not beside the checkout")
