"""`python -m captioner.pretrained.make RUN`: put a finished run into the box."""

from __future__ import annotations

import sys
from pathlib import Path

from captioner.pretrained.box import BOX, make_box


def main() -> None:
    """Make the box from the run folder that is named, and say how large it is."""
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python -m captioner.pretrained.make RUN [FILE]")
    output = make_box(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) == 3 else BOX)
    print(f"{output}: {output.stat().st_size / 1e6:.1f} MB", file=sys.stderr)


if __name__ == "__main__":
    main()
