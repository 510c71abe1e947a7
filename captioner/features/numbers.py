"""The types of numbers in feature files. In a module of its own, since settings are checked without h5py."""

from __future__ import annotations

from typing import Literal

Storage = Literal["float16", "float32"]
