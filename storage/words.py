"""Plans, measurements and choices in a newcomer's words: the page, the posts in a channel and the terminal say the same.

Plain sentences without markup; whoever shows them escapes or formats.
"""

from __future__ import annotations

import math
import re

from storage.domain.budget import drawing_share, drawn
from storage.domain.choice import Because, Choice
from storage.domain.lifecycle import TABLE, Stage
from storage.domain.measurement import Flag, Measurement, ScaleChoice
from storage.domain.plan import Departure, Fit, Plan, Validation
from storage.speech import ENGLISH, Sentence, _, decimal, later, ngettext, number, spoken, translated
from storage.words_concepts import concept_lines
from storage.words_stopping import ended_early, may_end_early

FLAG_WORDS: dict[Flag, Sentence] = {
    Flag.NAN: later("its numbers went wrong, so it cannot win"),
    Flag.BLACK: later("it draws black pictures, so it cannot win"),
    Flag.COLLAPSED: later("it draws nearly the same picture every time, so it cannot win"),
    Flag.VALIDATION_VETO: later("it got worse on a picture that it had not seen"),
    Flag.MEMORISED: later("it comes very close to copying a training picture"),
    Flag.LEAKS: later("it also changes pictures that have nothing to do with the subject"),
}

_WORDS = re.compile(r"[a-z]{4,}")

HOW_TO_READ = (
    "Likeness: how far the drawn pictures have come from the base model's own (0 %) to yours (100 %). "
    "Prompt: how well it still follows the words, next to the base model. "
    "Spill: how much it changes pictures without the trigger (lower is better). "
    "Unseen error: its error on pictures kept aside, next to the base model's (below 1.00 it has learned; rising again "
    "means that it begins to learn by heart)."
)


def percent(value: float | None) -> str:
    """A share as whole percent, never broken over two lines; a dash where it was not measured, or went wrong."""
    return "–" if value is None or not math.isfinite(value) else _("{number}\u00a0%", number=f"{100 * value:.0f}")


def ratio(value: float | None) -> str:
    """A ratio with two decimals; a dash where it was not measured, or went wrong."""
    return "–" if value is None or not math.isfinite(value) else decimal(value, 2)


def measurement_line(measurement: Measurement | None) -> str:
    """The measurements of one checkpoint in one line."""
    if measurement is None:
        return _("Not measured.")
    if measurement.likeness is None:
        return _(
            "Only its error was measured, next to the base model's: {training} on the training pictures, {unseen} on unseen ones.",
            training=ratio(measurement.training_ratio),
            unseen=ratio(measurement.validation_ratio),
        )
    parts = [
        _("likeness {share}", share=percent(measurement.likeness)),
        _("prompt {share}", share=percent(measurement.adherence)),
        _("spill {share}", share=percent(measurement.leakage)),
    ]
    if measurement.validation_ratio is not None:
        parts.append(_("unseen error {ratio}", ratio=ratio(measurement.validation_ratio)))
    text = ", ".join(parts)
    return text[0].upper() + text[1:] + "."


def flag_sentences(measurement: Measurement | None) -> list[str]:
    """A warning per flag."""
    flags = measurement.flags if measurement else ()
    return [_("Careful: {what}.", what=FLAG_WORDS[flag]()) for flag in flags]


def because_sentence(choice: Choice) -> str:
    """Why this checkpoint: votes first, then what was measured and as how many votes that counts."""
    voted = ngettext("{count} person voted for it", "{count} people voted for it", choice.votes)
    if choice.because is Because.VOTES:
        return " ".join(part for part in (_ahead(voted, choice.runner_up_votes), _measured(choice)) if part)
    if choice.because is Because.VOTES_AND_MEASUREMENT:
        return _(
            "{voted} and {others} for another, but {but}.",
            voted=voted,
            others=choice.runner_up_votes,
            but=_outweighed(choice),
        )
    if choice.because is Because.TIE_BROKEN_BY_MEASUREMENT:
        tie = _("Several checkpoints had {people} each; of those this one measured best.", people=people(choice.votes))
        return " ".join(part for part in (tie, _measured(choice)) if part)
    if choice.because is Because.MEASUREMENT:
        return _("Nobody voted, so the earliest checkpoint that measures as well as the best was taken.")
    if choice.votes:
        return _(
            "Several checkpoints had {people} each and nothing could be measured, so the last one was taken.",
            people=people(choice.votes),
        )
    return _("Nobody voted and nothing could be measured, so the last one was taken.")


def _ahead(voted: str, runner_up: int) -> str:
    if runner_up:
        return _("{voted}, {others} for the next one.", voted=voted, others=runner_up)
    return _("{voted}, nobody for another.", voted=voted)


def _measured(choice: Choice) -> str:
    if choice.measured_best is None:
        return ""
    votes, step = _votes(choice.pseudo_votes), choice.measured_best
    if step == choice.step:
        return (
            _("It also measured best, which counts as {votes}.", votes=votes) if votes else _("It also measured best.")
        )
    if votes:
        return _(
            "By measurement alone it would have been step {step}, which counts as {votes}; votes decide.",
            step=step,
            votes=votes,
        )
    return _("By measurement alone it would have been step {step}; votes decide.", step=step)


def _outweighed(choice: Choice) -> str:
    return _(
        "what was measured counts as {votes}, {own} of them for this one",
        votes=_votes(choice.pseudo_votes),
        own=decimal(choice.pseudo_votes * choice.share, 1),
    )


def _votes(count: float) -> str:
    """A weight in votes, which need not be whole; empty where it is none."""
    if not count:
        return ""
    return votes_words(int(count)) if count == int(count) else _("{count} votes", count=number(count))


def people(count: int) -> str:
    """A number of people in words."""
    return ngettext("{count} person", "{count} people", count)


def votes_words(count: int) -> str:
    """A number of votes in words."""
    return ngettext("{count} vote", "{count} votes", count)


def stage_words(stage: Stage) -> str:
    """Where an order is, in the fewest words."""
    return translated(TABLE[stage].sight)


def scale_sentence(scale: ScaleChoice) -> str:
    """The recommended scale and its band, how sure it is, and what it measures on pictures that did not choose it."""
    if not scale.measured:
        return _(
            "Scale {scale} to begin with: at the {count} scales tried, none was better.",
            scale=decimal(scale.recommended, 2),
            count=len(scale.points),
        )
    said = _(
        "Recommended scale {scale}; good from {low} to {high} (measured at {count} scales).",
        scale=decimal(scale.recommended, 2),
        low=decimal(scale.low, 2),
        high=decimal(scale.high, 2),
        count=len(scale.points),
    )
    return " ".join(part for part in (said, _doubt(scale), _report(scale)) if part)


def _doubt(scale: ScaleChoice) -> str:
    if scale.between is None:
        return ""
    low, high = (decimal(end, 2) for end in scale.between)
    if low == high:
        return _("With other prompts it would have been the same.")
    return _("With other prompts it would have been between {low} and {high}.", low=low, high=high)


def _report(scale: ScaleChoice) -> str:
    if scale.reported is None:
        return ""
    return _(
        "At this scale, on pictures that had no part in choosing it: likeness {likeness}, prompt {prompt}, spill {spill}.",
        likeness=percent(scale.reported.likeness),
        prompt=percent(scale.reported.adherence),
        spill=percent(scale.reported.leakage),
    )


def aside(detail: str) -> str:
    """What stands in brackets: numbers are the same everywhere; words that no catalogue knows are for who reads English."""
    known = translated(detail)
    return "" if spoken() != ENGLISH and known == detail and _WORDS.search(detail) else known


def duration(seconds: float) -> str:
    """Seconds in the words of a kitchen clock: rounded up, so that nobody waits longer than was said."""
    whole = max(0, int(-(-seconds // 1)))
    if whole < 60:
        return _("{seconds} s", seconds=whole)
    if whole < 3600:
        return _("{minutes} min", minutes=-(-whole // 60))
    hours, rest = divmod(whole, 3600)
    minutes = rest // 60
    if minutes and hours < 10:
        return _("{hours} h {minutes} min", hours=hours, minutes=minutes)
    return _("{hours} h", hours=hours)


def size(count: int) -> str:
    """Bytes in the unit that reads best."""
    if count >= 1024 * 1024:
        return _("{count} MiB", count=decimal(count / 1024 / 1024, 1))
    return _("{count} KiB", count=max(1, count // 1024))


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
        _drawing(plan),
        kept_aside[plan.validation],
        *([may_end_early()] if plan.early_stop else []),
        *concept_lines(plan),
    ]


def _drawing(plan: Plan) -> str:
    """At most: without an eye the sweep draws nothing, and an early end spares the rest."""
    most, share = _pictures(drawn(plan).whole), round(100 * drawing_share(plan))
    return f"At most {most} drawn for grids, scale and strip: {share}\u00a0% of the time of learning and drawing."


def _shown(plan: Plan) -> str:
    alone = ", of head and shoulders alone" if plan.crop == "face" else ""
    return alone + (", half of them mirrored" if plan.flip else "")


def taught_sentences(plan: Plan) -> list[str]:
    """Where votes on earlier orders changed the recipe; nothing where they did not."""
    revision = plan.recipe.partition("/")[0].partition("+")[2]
    return (
        [_("Votes on earlier orders changed this recipe (revision {revision} of what was learned).", revision=revision)]
        if revision
        else []
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
    if departure.kind == "stopped_early":
        return ended_early(departure.step, departure.reason)
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
