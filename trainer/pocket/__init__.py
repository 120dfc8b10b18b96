"""The embedded base model: drawn scenes, their pretraining, and the weights that ship with the repository."""

from pathlib import Path

WEIGHTS = Path(__file__).parent / "weights"
