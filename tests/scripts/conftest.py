import sys
from pathlib import Path

# The scripts import each other as they do when they are run: by the name of the module beside them.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
