"""LoRAs and their base on the same prompts and seeds: drawn, measured, and laid side by side.

What was drawn stays on disk and is not drawn again. Pictures are drawn in batches that depend on prompts and seeds alone, so
neither an interruption nor the order of the LoRAs changes a bit of them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from pydantic import ValidationError
from torch import Tensor

from storage.domain.plan import Fit, PreviewPrompt
from trainer.comparison import FILE, GRID, HOME, MAX_BYTES, Comparison, Entrant, Scored
from trainer.events import Evaluated
from trainer.gpu import grid, preview
from trainer.gpu.bench import Loaded
from trainer.gpu.channel import Channel
from trainer.gpu.export import sha256
from trainer.gpu.families import FAMILIES, Base, Words
from trainer.gpu.job import JobRefused
from trainer.gpu.judge import sight
from trainer.gpu.judge.eye import Eye
from trainer.gpu.ledger import Ledger
from trainer.gpu.pictures import upright
from trainer.gpu.sparing import spared
from trainer.gpu.words import AsWorn, heard

MOST_PIXELS = 8_000_000
"""Of a grid: a file on disk may be larger than a post."""
SHOWN_PX = 256
"""Side of the small pictures that the page shows."""

Panel = dict[tuple[int, int], Image.Image]


@dataclass(frozen=True, kw_only=True)
class Look:
    """How every picture of a comparison is drawn."""

    resolution: int
    preview_steps: int
    guidance: float
    prompts: tuple[PreviewPrompt, ...] = ()


def read(folder: Path) -> tuple[Comparison, Fit]:
    """The comparison of a folder. Raises `JobRefused` for anything that is not as the supervisor writes it."""
    try:
        with (folder / HOME / FILE).open("rb") as file:
            asked = Comparison.model_validate_json(file.read(MAX_BYTES))
        fit = Fit.from_json(asked.fit)
    except (OSError, ValueError, TypeError) as error:
        reason = "wrong values" if isinstance(error, ValidationError) else type(error).__name__
        raise JobRefused(f"{FILE} cannot be used: {reason}") from error
    rows = len(asked.seeds)
    even = all(len(call.texts) == len(call.plains) == rows for call in asked.calls) and len(asked.labels) == rows
    bases = sorted(entrant.call for entrant in asked.entrants if not entrant.lora)
    known = all(entrant.call < len(asked.calls) for entrant in asked.entrants)
    if asked.base not in FAMILIES or not even or bases != list(range(len(asked.calls))) or not known:
        raise JobRefused(f"{FILE} cannot be used: its parts do not belong together")
    return asked, fit


def evaluated(folder: Path, asked: Comparison, fit: Fit, loaded: Loaded, channel: Channel) -> Evaluated:
    """Draws what is missing, measures, and writes the grid. Raises `JobRefused`, `UnreadablePicture`."""
    began, scores = time.monotonic(), dict[str, Scored]()
    easel = _Easel(folder, asked, spared(loaded.base, Ledger(fit, (), channel)), channel)
    panels, seconds = {}, {}
    for entrant in asked.entrants:
        panels[entrant.key], seconds[entrant.key] = easel.panel(entrant)
    channel.progress("measuring", easel.done, easel.total)
    if loaded.seeing:
        eye = loaded.seeing.eye
        scores = loaded.seeing.through(eye, lambda: _scores(folder, asked, eye, panels))
    _write_grid(folder, asked, panels)
    return Evaluated(
        scores=[
            scores.get(e.key, Scored(key=e.key, pictures=0, seconds=0.0)).model_copy(
                update={"pictures": len(panels[e.key]), "seconds": round(seconds[e.key], 3)}
            )
            for e in asked.entrants
        ],
        eyed=loaded.seeing is not None,
        seconds=round(time.monotonic() - began, 3),
    )


class _Easel:
    """Draws the panels of a comparison, one entrant after another."""

    def __init__(self, folder: Path, asked: Comparison, base: Base, channel: Channel) -> None:
        self._folder, self._asked, self._base, self._channel = folder, asked, base, channel
        self._look = Look(resolution=asked.resolution, preview_steps=asked.preview_steps, guidance=asked.guidance)
        texts = sorted({text for call in asked.calls for text in call.texts} | {""})
        self._words: dict[str, Words] = AsWorn(base, heard(base, texts, folder / HOME / "cache"))
        self.done, self.total = 0, len(asked.entrants) * sum(map(len, asked.seeds))

    def panel(self, entrant: Entrant) -> tuple[Panel, float]:
        """All pictures of an entrant, and the seconds that drawing took, whenever that was."""
        home = self._folder / "drawn" / entrant.key
        most = preview.at_once(self._base, preview.shape_of(self._base, self._look))
        drawn: Panel = {}
        seconds, wears = _seconds(home), False
        for rows in _batches(self._asked.seeds, most):
            kept = {(r, s): preview.opened(home / _file(r, s)) for r in rows for s in self._asked.seeds[r]}
            found = {cell: image for cell, image in kept.items() if image is not None}
            if len(found) < len(kept):
                wears = wears or self._wear(entrant)
                began = time.monotonic()
                found = self._drawn(entrant, rows)
                seconds[str(rows[0])] = time.monotonic() - began
                preview.save(found, home, _file)
                (home / "seconds.json").write_text(json.dumps(seconds))
            drawn.update(found)
            self.done += len(found)
            self._tell()
        return drawn, sum(seconds.values())

    def _wear(self, entrant: Entrant) -> bool:
        if not entrant.lora:
            self._base.wear(None)
            return True
        file = Path(entrant.lora)
        if not file.is_file() or sha256(file) != entrant.sha256:
            raise JobRefused(f"{entrant.name} is not the LoRA any more that was looked at")
        if not self._base.wear(file):
            raise JobRefused(f"{entrant.name} brought nothing into the base model")
        self._base.weigh(entrant.scale)
        return True

    def _drawn(self, entrant: Entrant, rows: Sequence[int]) -> Panel:
        texts = self._asked.calls[entrant.call].texts
        prompts = [PreviewPrompt(text=texts[row], seeds=tuple(self._asked.seeds[row])) for row in rows]
        found = preview.panel(self._base, self._look, self._words, prompts=prompts, tell=self._tell)
        return {(rows[at], seed): image for (at, seed), image in found.items()}

    def _tell(self) -> None:
        self._channel.progress("previewing", self.done, self.total)


def _batches(seeds: Sequence[Sequence[int]], most: int) -> Iterator[list[int]]:
    """Rows that are drawn together: as many as give `most` pictures, and one at least."""
    rows: list[int] = []
    for row in range(len(seeds)):
        if rows and sum(len(seeds[r]) for r in [*rows, row]) > most:
            yield rows
            rows = []
        rows.append(row)
    yield rows


def _file(row: int, seed: int) -> str:
    return f"{row + 1:03d}-{seed}.png"


def _seconds(home: Path) -> dict[str, float]:
    """What batches took in earlier runs, by their first row."""
    try:
        return {str(row): float(took) for row, took in json.loads((home / "seconds.json").read_text()).items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _scores(folder: Path, asked: Comparison, eye: Eye, panels: dict[str, Panel]) -> dict[str, Scored]:
    """A number a prompt for every entrant, each held against the base with the same words."""
    look = partial(_looked_at, eye, asked.seeds)
    images = [upright(folder / file, file) for file in asked.pictures]
    training_ND = torch.cat([eye.pictures([image]) for image in images]) if images else None
    bases = {entrant.call: look(panels[entrant.key]) for entrant in asked.entrants if not entrant.lora}
    plain = [torch.cat([eye.texts([text]) for text in call.plains]) for call in asked.calls]
    return {
        entrant.key: _scored(
            entrant.key, look(panels[entrant.key]), bases[entrant.call], plain[entrant.call], training_ND
        )
        for entrant in asked.entrants
    }


def _looked_at(eye: Eye, seeds: Sequence[Sequence[int]], panel: Panel) -> list[Tensor]:
    """Embeddings (K, D) a row; a row at a time, so that nothing depends on how many rows there are."""
    return [eye.pictures([panel[row, seed] for seed in own]) for row, own in enumerate(seeds)]


def _scored(
    key: str, drawn: Sequence[Tensor], base: Sequence[Tensor], plain_RD: Tensor, training_ND: Tensor | None
) -> Scored:
    """`storage.evaluation` says what each number is."""
    rows = range(len(drawn))
    pictures = likenesses = []
    if training_ND is not None:
        way = sight.toward(torch.cat(list(base)), training_ND)
        likenesses = [sight.likeness(drawn[row], base[row], way) for row in rows]
        pictures = [float((drawn[row] @ training_ND.T).mean()) for row in rows]
    others = [plain_RD[[other for other in rows if other != row]] for row in rows]
    seeds = min(len(own_KD) for own_KD in drawn)
    return Scored(
        key=key,
        pictures=0,
        seconds=0.0,
        text=[float((drawn[row] @ plain_RD[row]).mean()) for row in rows],
        picture=pictures,
        likeness=likenesses,
        contrast=[sight.contrast(drawn[row], plain_RD[row], others[row]) for row in rows],
        spread=[sight.spread(drawn[row]) for row in rows] if seeds > 1 else [],
    )


def _write_grid(folder: Path, asked: Comparison, panels: dict[str, Panel]) -> None:
    """The first seed of every prompt, large in one sheet and small for the page."""
    rows = [
        grid.Row(label=label, note="", cells=[panels[e.key][row, asked.seeds[row][0]] for e in asked.entrants])
        for row, label in enumerate(asked.labels)
    ]
    seeds = len(asked.seeds[0])
    subtitle = f"first of {seeds} seeds" if seeds > 1 else "one seed a prompt"
    heads = [entrant.name for entrant in asked.entrants]
    sheet = grid.sheet(f"LoRAs on {asked.base}", subtitle, heads, rows, most_pixels=MOST_PIXELS)
    _whole(folder / GRID, lambda part: sheet.save(part, format="PNG"))
    for number, row in enumerate(rows):
        for entrant, cell in zip(asked.entrants, row.cells, strict=True):
            small, place = grid.shown(cell, SHOWN_PX), folder / HOME / "shown" / entrant.key
            place.mkdir(parents=True, exist_ok=True)
            _whole(place / f"{number}.jpg", partial(small.save, format="JPEG", quality=90, subsampling=0))


def _whole(file: Path, write: Callable[[Path], None]) -> None:
    part = file.with_name(file.name + ".part")
    write(part)
    part.replace(file)
