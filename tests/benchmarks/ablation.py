"""What is on by default for the pocket: every technique against the recipe as it is, at equal seconds, over drawn subjects.

`python -m tests.benchmarks.ablation --subjects 20 --out runs/ablation`: a technique is one change of the plan; where a step costs
more with it, it gets fewer steps. It is looked at on a few subjects first; what is not ahead there stays off and is done with,
what is ahead is trained on all. Subjects are not those that `recipes` compares. Resumable, shareable, and scored as `study` says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tests.benchmarks.study import DEVELOPMENT, Job, Recipe, Study, chosen_subjects, opened, options
from tests.benchmarks.trainings import in_words

DIVERSE = (
    "a {class_word} on grass",
    "a {class_word} in the snow",
    "a red car at night",
    "a yellow duck on grass",
    "a blue house in the snow",
    "a pink cat at sea",
    "an orange robot at sea",
    "a black boat at night",
)
"""What should stay, of other things and places than the scores ask for."""

TECHNIQUES: Mapping[str, Recipe] = {
    "prior on a quarter of the steps": lambda plan: replace(
        plan, prior="base_prediction", prior_share=0.25, prior_prompts=DIVERSE
    ),
    "prior on half of the steps": lambda plan: replace(
        plan, prior="base_prediction", prior_share=0.5, prior_prompts=DIVERSE
    ),
    "no mirroring": lambda plan: replace(plan, flip=False),
    "min-SNR 5": lambda plan: replace(plan, min_snr_gamma=5.0),
    "average of the adapter 0.98": lambda plan: replace(plan, ema_decay=0.98),
    "cosine": lambda plan: replace(plan, schedule="cosine"),
    "rank 8": lambda plan: replace(plan, rank=8),
    "rank 32": lambda plan: replace(plan, rank=32),
    "attention and feed-forward": lambda plan: replace(plan, targets="attention+ff"),
    "dropout 0.1": lambda plan: replace(plan, lora_dropout=0.1),
    "noise offset 0.05": lambda plan: replace(plan, noise_offset=0.05),
    "captions always": lambda plan: replace(plan, caption_dropout=0.0),
    "batch 4": lambda plan: replace(plan, batch_size=4),
}


def looked_at(study: Study, name: str, recipe: Recipe, subjects: int, few: int) -> str:
    """One row of the table: the difference to the recipe as it is, on all subjects or on the few that were enough."""
    count = few
    ahead = _ahead(study, name, recipe, few)
    if sum(ahead) > 0 and subjects > few:
        count, ahead = subjects, _ahead(study, name, recipe, subjects)
    return f"| {name} | {in_words(ahead)} | {count} |"


def _ahead(study: Study, name: str, recipe: Recipe, count: int) -> list[float]:
    chosen = chosen_subjects(count, DEVELOPMENT)
    usual = study.scores([Job(name="as it is", subject=subject, recipe=lambda plan: plan) for subject in chosen])
    changed = study.scores([Job(name=name, subject=subject, recipe=recipe, batch_stays=True) for subject in chosen])
    return [new.whole - old.whole for new, old in zip(changed, usual, strict=True)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains what is missing, then prints the table."""
    parser = options(__doc__, "runs/ablation")
    parser.add_argument("--few", type=int, default=6, help="subjects for the first look")
    parser.add_argument("--only", nargs="*", default=list(TECHNIQUES), help="names of techniques")
    asked = parser.parse_args(arguments)
    study = opened(asked)
    rows = [looked_at(study, name, TECHNIQUES[name], asked.subjects, asked.few) for name in asked.only]
    print("| technique | score ahead of the recipe as it is | subjects |\n| --- | --- | --- |")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
