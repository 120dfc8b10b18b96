"""Plans, measurements and choices in a newcomer's words: the page, the posts in a channel and the terminal say the same.

Plain sentences without markup; whoever shows them escapes or formats.
"""

from __future__ import annotations

from storage.domain.choice import Because, Choice
from storage.domain.measurement import Flag, Measurement, ScaleChoice
from storage.domain.plan import Departure, Fit, Plan, Validation
from storage.words_concepts import concept_lines

FLAG_WORDS: dict[Flag, str] = {
    Flag.NAN: "its numbers went wrong, so it cannot win",
    Flag.BLACK: "it draws black pictures, so it cannot win",
    Flag.COLLAPSED: "it draws nearly the same picture every time, so it cannot win",
    Flag.VALIDATION_VETO: "it got worse on a picture that it had not seen",
    Flag.MEMORISED: "it comes very close to copying a training picture",
    Flag.LEAKS: "it also changes pictures that have nothing to do with the subject",
}

HOW_TO_READ = (
    "Likeness: how far the drawn pictures have come from the base model's own (0 %) to yours (100 %). "
    "Prompt: how well it still follows the words, next to the base model. "
    "Spill: how much it changes pictures without the trigger (lower is better). "
    "Unseen error: its error on pictures kept aside, next to the base model's (below 1.00 it has learned; rising again "
    "means that it begins to learn by heart)."
)


def percent(value: float | None) -> str:
    """A share as whole percent, never broken over two lines; a dash where it was not measured."""
    return "–" if value is None else f"{100 * value:.0f}\u00a0%"


def ratio(value: float | None) -> str:
    """A ratio with two decimals; a dash where it was not measured."""
    return "–" if value is None else f"{value:.2f}"


def measurement_line(measurement: Measurement | None) -> str:
    """The measurements of one checkpoint in one line."""
    if measurement is None:
        return "Not measured."
    parts = [
        f"likeness {percent(measurement.likeness)}",
        f"prompt {percent(measurement.adherence)}",
        f"spill {percent(measurement.leakage)}",
    ]
    if measurement.validation_ratio is not None:
        parts.append(f"unseen error {ratio(measurement.validation_ratio)}")
    text = ", ".join(parts)
    return text[0].upper() + text[1:] + "."


def flag_sentences(measurement: Measurement | None) -> list[str]:
    """A warning per flag."""
    flags = measurement.flags if measurement else ()
    return [f"Careful: {FLAG_WORDS[flag]}." for flag in flags]


def because_sentence(choice: Choice) -> str:
    """Why this checkpoint: votes first, then what was measured and as how many votes that counts."""
    best = _measured(choice)
    if choice.because is Because.VOTES:
        others = f"{choice.runner_up_votes} for the next one" if choice.runner_up_votes else "nobody for another"
        return f"{people(choice.votes)} voted for it, {others}. {best}".strip()
    if choice.because is Because.VOTES_AND_MEASUREMENT:
        return (
            f"{people(choice.votes)} voted for it and {choice.runner_up_votes} for another, but {_outweighed(choice)}."
        )
    if choice.because is Because.TIE_BROKEN_BY_MEASUREMENT:
        return f"Several checkpoints had {people(choice.votes)} each; of those this one measured best. {best}".strip()
    if choice.because is Because.MEASUREMENT:
        return "Nobody voted, so the earliest checkpoint that measures as well as the best was taken."
    votes = f"Several checkpoints had {people(choice.votes)} each" if choice.votes else "Nobody voted"
    return f"{votes} and nothing could be measured, so the last one was taken."


def _measured(choice: Choice) -> str:
    if choice.measured_best is None:
        return ""
    counts = f", which counts as {_votes(choice.pseudo_votes)}" if choice.pseudo_votes else ""
    if choice.measured_best == choice.step:
        return f"It also measured best{counts}."
    return f"By measurement alone it would have been step {choice.measured_best}{counts}; votes decide."


def _outweighed(choice: Choice) -> str:
    own = f"{choice.pseudo_votes * choice.share:.1f} of them for this one"
    return f"what was measured counts as {_votes(choice.pseudo_votes)}, {own}"


def _votes(count: float) -> str:
    return "1 vote" if count == 1 else f"{count:g} votes"


def people(count: int) -> str:
    """A number of people in words."""
    return "1 person" if count == 1 else f"{count} people"


def votes_words(count: int) -> str:
    """A number of votes in words."""
    return "1 vote" if count == 1 else f"{count} votes"


def scale_sentence(scale: ScaleChoice) -> str:
    """The recommended scale and its band."""
    if not scale.measured:
        return f"Scale {scale.recommended:.2f} to begin with: at the {len(scale.points)} scales tried, none was better."
    return (
        f"Recommended scale {scale.recommended:.2f}; good from {scale.low:.2f} to {scale.high:.2f} "
        f"(measured at {len(scale.points)} scales)."
    )


def duration(seconds: float) -> str:
    """Seconds in the words of a kitchen clock: rounded up, so that nobody waits longer than was said."""
    whole = max(0, int(-(-seconds // 1)))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{-(-whole // 60)} min"
    hours, rest = divmod(whole, 3600)
    minutes = rest // 60
    return f"{hours} h {minutes} min" if minutes and hours < 10 else f"{hours} h"


def size(count: int) -> str:
    """Bytes in the unit that reads best."""
    return f"{count / 1024 / 1024:.1f} MiB" if count >= 1024 * 1024 else f"{max(1, count // 1024)} KiB"


def plan_sentences(plan: Plan, pictures: int) -> list[str]:
    """What is learned and how, from the frozen plan."""
    kept_aside = {
        Validation.NONE: "All pictures are learned from; there are too few to keep one aside.",
        Validation.VETO: f"{_pictures(len(plan.held_out))} kept aside and only used to notice learning by heart.",
        Validation.FULL: f"{_pictures(len(plan.held_out))} kept aside to measure what was really learned.",
    }
    return [
        f"Recipe {plan.recipe}: {plan.steps} steps of {_pictures(plan.batch_size)} each, from {pictures} in all.",
        *taught_sentences(plan),
        f"Learning rate {plan.learning_rate:g} ({plan.schedule}), rank {plan.rank}, {_targets(plan.targets)}.",
        f"Views of about {plan.resolution} x {plan.resolution} px{_shown(plan)}.",
        f"Checkpoints after steps {', '.join(map(str, plan.checkpoint_steps))}.",
        kept_aside[plan.validation],
        *concept_lines(plan),
    ]


def _shown(plan: Plan) -> str:
    alone = ", of head and shoulders alone" if plan.crop == "face" else ""
    return alone + (", half of them mirrored" if plan.flip else "")


def taught_sentences(plan: Plan) -> list[str]:
    """Where votes on earlier orders changed the recipe; nothing where they did not."""
    revision = plan.recipe.partition("/")[0].partition("+")[2]
    return (
        [f"Votes on earlier orders changed this recipe (revision {revision} of what was learned)."] if revision else []
    )


def _pictures(count: int) -> str:
    return "1 picture" if count == 1 else f"{count} pictures"


def _targets(targets: str) -> str:
    names = {"attention": "attention", "ff": "feed-forward", "conv": "convolution"}
    words = [names.get(part, part) for part in targets.split("+")]
    joined = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
    return f"in the {joined} layers"


def fit_sentence(fit: Fit) -> str:
    """How one machine ran the plan."""
    device = f"the processor ({fit.threads} threads)" if fit.device == "cpu" else "a graphics card"
    parts = [f"Ran on {device} in {fit.precision}", f"{_pictures(fit.micro_batch)} at a time"]
    if fit.gradient_checkpointing:
        parts.append("recomputing instead of remembering, to save memory")
    if fit.quantised != "none":
        parts.append(f"on a base model rounded to {'8' if fit.quantised == 'int8' else '4'} bits")
    if fit.offload:
        parts.append("with the base model in main memory")
    if fit.caches == "disk":
        parts.append("with what was encoded read from disk")
    return ", ".join(parts) + "."


def departure_sentence(departure: Departure) -> str:
    """Where the run left its plan."""
    kinds = {
        "learning_rate_halved": "the learning rate was halved",
        "micro_batch_halved": "the batch was split in two",
        "all_recomputed": "what the steps keep in memory was computed again instead",
        "encoders_streamed": "the text encoders moved to main memory",
        "base_offloaded": "the base model moved to main memory, which takes longer",
        "looks_halved": "fewer pictures were drawn at a time",
        "vae_tiled": "pictures were encoded and decoded in tiles",
    }
    return f"At step {departure.step} {kinds[departure.kind]}: {departure.reason}."
