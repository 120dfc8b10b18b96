"""What training pictures may be called: the words of an order in them, and the words that spoil them.

What a caption names is learned as something apart that a prompt can change; what it leaves out is learned as part of the
subject. So a caption of a person or a thing says everything but what makes it that one, and a caption of a style says what is
shown and never how (kohya-ss/sd-scripts, docs/train_README-en.md; Ruiz et al. 2023, arXiv 2208.12242, section 3.2 for the trigger
with its class word).
"""

from __future__ import annotations

import re

from storage.domain.orders import SubjectType

LONGEST = 1000
"""Characters: more than any text encoder here reads (FLUX.2 and Z-Image 512 tokens, CLIP 75)."""

_FACE = (
    "hair haired hairstyle blonde blond brunette redhead bald ponytail braid braids bangs beard bearded moustache mustache "
    "goatee stubble eye eyes eyed eyebrow eyebrows eyelashes nose lips mouth chin cheek cheeks cheekbones jaw jawline face "
    "facial freckles freckled wrinkles wrinkled skin skinned complexion mole dimples ears forehead young elderly middle-aged "
    "teenage youthful tattoo tattoos tattooed"
)
_BODY = "fur furry coat stripes striped spots spotted patches tail paws snout muzzle whiskers beak feathers wings"
_STYLE = (
    "style styled painting painted painterly watercolor watercolour gouache acrylic oil illustration illustrated anime manga "
    "cartoon comic sketch sketched drawing drawn pencil charcoal ink etching woodcut engraving impressionist impressionism "
    "cubist surrealist surrealism minimalist abstract pixel vector 3d render rendered photorealistic realistic artstation "
    "brushstroke brushstrokes pastel monochrome grayscale lineart cel-shaded aesthetic photo photograph photography "
    "black-and-white sepia medium media artwork"
)

UNWANTED: dict[SubjectType, frozenset[str]] = {
    SubjectType.PERSON: frozenset(_FACE.split()),
    SubjectType.CHARACTER: frozenset(f"{_FACE} {_BODY}".split()),
    SubjectType.OBJECT: frozenset(),
    SubjectType.STYLE: frozenset(_STYLE.split()),
}
"""Words that describe what should be learned. Of an object they are its own features, which no list knows."""


def clean(text: str) -> str:
    """One line without control characters, of at most `LONGEST` characters."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    return re.sub(r" +", " ", plain).strip()[:LONGEST].strip()


def spoken(text: str, *, subject: SubjectType, trigger: str, class_word: str) -> str:
    """A caption as it is trained on: its placeholders filled, and with the trigger even where it was not written.

    A subject's trigger stands in front with its class word; a style's behind what is shown.
    """
    said = text.replace("{trigger}", trigger).replace("{class_word}", class_word)
    if not said or re.search(rf"(?<!\w){re.escape(trigger)}(?!\w)", said, re.IGNORECASE):
        return said
    if subject is SubjectType.STYLE:
        return f"{said.rstrip('.')}, {trigger} style"
    return f"{trigger} {class_word}, {said}"


def unwanted(text: str, subject: SubjectType, *, trigger: str = "") -> tuple[str, ...]:
    """The words of a caption that take from the trigger what it should stand for; each once, as written."""
    own = f"{trigger.lower()} style"
    plain = text.lower().replace(own, "") if trigger else text.lower()
    words = re.findall(r"[\w-]+", plain)
    return tuple(dict.fromkeys(w for w in words if w in UNWANTED[subject] or _part(w, UNWANTED[subject])))


def _part(word: str, listed: frozenset[str]) -> bool:
    return "-" in word and any(part in listed for part in word.split("-"))


def question(subject: SubjectType, class_word: str) -> str:
    """What a captioner is asked, so that it says what may change and leaves out what is to be learned."""
    who = class_word or "subject"
    asks = {
        SubjectType.PERSON: f"Call the person only 'the {who}'. Describe pose, expression, clothes, light, place and background. "
        "Never mention the face, hair, eyes, skin, age or any lasting feature.",
        SubjectType.CHARACTER: f"Call the character only 'the {who}'. Describe pose, action, light, place and background. "
        "Never mention its colours, face, hair, fur, markings or any lasting feature.",
        SubjectType.OBJECT: f"Call the thing only 'the {who}'. Describe where it stands, the view, light and background. "
        "Never mention its own colour, material, shape, pattern or parts.",
        SubjectType.STYLE: "Describe only what is shown: things, people, place, action. "
        "Never mention the style, medium, technique, colours or mood, nor that it is a picture.",
    }
    begin = "Write one plain English sentence of at most 40 words about this picture."
    return f"{begin} {asks[subject]} Answer with the sentence alone."
