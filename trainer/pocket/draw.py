"""Pictures of a subject that the pocket has never seen, as files: `python -m trainer.pocket.draw --kind character --out DIR`.

A process of its own, because the demonstration is part of the bot and may not import the trainer.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import get_args

from trainer.pocket.subjects import Kind, test_subject

PX = 256
"""Larger than the pocket learns at, as real pictures are."""


def main(arguments: list[str] | None = None) -> int:
    """Draw, and print what was drawn as JSON: class word and files."""
    parser = argparse.ArgumentParser(prog="python -m trainer.pocket.draw", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kind", choices=get_args(Kind), default="character")
    parser.add_argument("--index", type=int, default=0, help="which subject of that kind")
    parser.add_argument("--count", type=int, default=8, help="how many pictures, 1 to 40")
    parser.add_argument("--px", type=int, default=PX, help="side in pixels")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    subject = test_subject(options.kind, options.index)
    options.out.mkdir(parents=True, exist_ok=True)
    files = []
    for number, picture in enumerate(subject.pictures(min(max(options.count, 1), 40), px=options.px)):
        path = options.out / f"{options.kind}-{options.index}-{number}.png"
        picture.save(path)
        files.append(str(path))
    json.dump({"class_word": subject.class_word, "files": files}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
