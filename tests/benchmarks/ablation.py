"""What is on by default for the pocket: every technique against the recipe as it is, at equal seconds, over drawn subjects.

`python -m tests.benchmarks.ablation --subjects 20 --out runs/ablation`: a technique is one change of the plan; where a step costs
more with it, it gets fewer steps. It is looked at on a few subjects first: what is not ahead there stays off and is done with.
What is ahead is trained on twenty others, and they alone say whether it is turned on: the few that chose it would flatter it.
Subjects are not those that `recipes` compares. Resumable, shareable, and scored as `study` says. Text encoders do not learn on the
pocket (`families.TEACHABLE`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tests.benchmarks.examiner import DEVELOPMENT
from tests.benchmarks.study import Job, Recipe, Study, chosen_subjects, opened, options
from tests.benchmarks.trainings import in_words, interval
from trainer.pocket.subjects import TestSubject

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
    "24 class pictures on a quarter of the steps": lambda plan: replace(
        plan, prior="class_pictures", prior_share=0.25, prior_pictures=24, prior_prompts=DIVERSE
    ),
    "timesteps from the middle": lambda plan: replace(plan, timestep_density="logit-normal"),
    "pyramid noise 0.3": lambda plan: replace(plan, pyramid_noise=0.3),
    "alpha twice the rank": lambda plan: replace(plan, alpha=2.0 * plan.rank),
    "latents drawn anew": lambda plan: replace(plan, latents="sampled"),
    "Prodigy": lambda plan: replace(plan, optimizer="prodigy", learning_rate=1.0),
    "batch 4": lambda plan: replace(plan, batch_size=4),
}


def looked_at(study: Study, name: str, recipe: Recipe, subjects: int, few: int) -> str:
    """One row of the table: the difference to the recipe as it is, on the few that were enough, or on all the others."""
    first = chosen_subjects(few + subjects, DEVELOPMENT)
    ahead = _ahead(study, name, recipe, first[:few])
    if sum(ahead) <= 0:
        return f"| {name} | {in_words(ahead)} | {few} | off |"
    ahead = _ahead(study, name, recipe, first[few:])
    return f"| {name} | {in_words(ahead)} | {subjects} | {'on' if interval(ahead)[1] > 0 else 'off'} |"


def _ahead(study: Study, name: str, recipe: Recipe, chosen: Sequence[TestSubject]) -> list[float]:
    usual = study.scores([Job(name="as it is", subject=subject, recipe=lambda plan: plan) for subject in chosen])
    changed = study.scores([Job(name=name, subject=subject, recipe=recipe, batch_stays=True) for subject in chosen])
    return [new.whole - old.whole for new, old in zip(changed, usual, strict=True)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains what is missing, then prints the table."""
    parser = options(__doc__, "runs/ablation")
    parser.add_argument("--few", type=int, default=6, help="subjects for the first look, beside the others")
    parser.add_argument("--only", nargs="*", default=list(TECHNIQUES), help="names of techniques")
    asked = parser.parse_args(arguments)
    study = opened(asked)
    rows = [looked_at(study, name, TECHNIQUES[name], asked.subjects, asked.few) for name in asked.only]
    print("| technique | score ahead of the recipe as it is | subjects | |\n| --- | --- | --- | --- |")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
