"""A worker process as operators start it, but for its child: `python tests/trainer/scripted_worker.py`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.trainer.ordering import Scripted
from trainer.worker import main

if __name__ == "__main__":
    sys.exit(main(Scripted))
