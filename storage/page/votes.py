"""Who chose: people's votes and what was measured, added up for every checkpoint."""

from __future__ import annotations

from storage import words
from storage.domain.choice import Candidate, shares
from storage.view import CheckpointView, OrderView


def votes(view: OrderView) -> str:
    """A table with a bar a checkpoint; empty before the first vote and the choice."""
    cast = sum(c.votes for c in view.checkpoints)
    if not view.checkpoints or (view.choice is None and not cast):
        return ""
    weight = view.choice.pseudo_votes if view.choice else 0.0
    measured = _measured(view, weight)
    most = max([c.votes + measured.get(c.step, 0.0) for c in view.checkpoints] + [1.0])
    rows = "".join(_row(view, c, measured, most) for c in view.checkpoints)
    return (
        '<section aria-labelledby="votes"><h2 id="votes">Votes</h2>'
        f"<p>{_how(cast, weight)}</p>"
        '<table class="votes"><caption class="unseen">Votes for every checkpoint</caption><thead><tr><th scope="col">Step</th>'
        '<th scope="col">People</th><th scope="col">Measured</th><th scope="col">Together</th>'
        f'<th scope="col" class="wide"><span class="unseen">As a bar</span></th></tr></thead>'
        f"<tbody>{rows}</tbody></table></section>"
    )


def _measured(view: OrderView, weight: float) -> dict[int, float]:
    """What measurement adds to each step, in votes."""
    able = [Candidate(step=c.step, votes=c.votes, measurement=c.measurement) for c in view.checkpoints]
    return {step: weight * share for step, share in shares([c for c in able if not c.broken]).items()} if weight else {}


def _how(cast: int, weight: float) -> str:
    said = f"People gave {words.votes_words(cast)}. " if cast else "Nobody voted. "
    if not weight:
        return f"{said}Nothing that was measured counts."
    whole = "1 vote" if weight == 1 else f"{weight:g} votes"
    return (
        f"{said}All that was measured counts as {whole} together, shared out by how well each checkpoint measures. The most "
        "together wins; of equals the one with more people behind it, then the earliest."
    )


def _row(view: OrderView, checkpoint: CheckpointView, measured: dict[int, float], most: float) -> str:
    won = view.chosen is not None and view.chosen.step == checkpoint.step
    share = measured.get(checkpoint.step, 0.0)
    together = f"{checkpoint.votes + share:.2f}"
    if Candidate(step=checkpoint.step, votes=0, measurement=checkpoint.measurement).broken:
        together = "cannot win"
    badge = ' <span class="badge">chosen</span>' if won else ""
    return (
        f'<tr{" class=won" if won else ""}><th scope="row">{checkpoint.step}{badge}</th><td>{checkpoint.votes}</td>'
        f"<td>{f'{share:.2f}' if measured else '–'}</td><td>{together}</td>"
        f'<td class="wide">{_bar(checkpoint.votes, share, most)}</td></tr>'
    )


def _bar(people: int, measured: float, most: float) -> str:
    """People's part and, behind it, what measurement added. The numbers stand beside it."""
    parts = (("people", people), ("measured", measured))
    inside = "".join(f'<span class="{kind}" style="width:{100 * n / most:.1f}%"></span>' for kind, n in parts if n)
    return f'<span class="tally" aria-hidden="true">{inside}</span>'
