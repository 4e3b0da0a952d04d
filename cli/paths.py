"""Where things are on this machine: the checkout, and the folder that `up` keeps its state in."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_FOLDER = ROOT / ".phantom"
