"""The forms of an order and the buttons of its plan card, in words."""

from __future__ import annotations

from storage.speech import _, later

ABOUT_TITLE = later("What is it?")
NAME_LABEL = later("What to call it")
NAME_ABOUT = later("Left empty, it is called by its trigger word.")
CLASS_WORD_LABEL = later("One plain word for what it is")
"""The form that asks what pictures of a message did not tell."""


def class_word_about(standard: str) -> str:
    """What the class word is for, and what is taken without one."""
    return _("Such as dog, teapot or watercolour: the word that it is learned as. Left empty: {word}.", word=standard)


RIGHTS = later(
    "Send only pictures that you may use for this. For pictures of a person you need that person's consent; you will be asked "
    "before the start. They are kept for this order alone and deleted afterwards."
)
START, ADD_PICTURES, CAPTIONS = later("Start"), later("Add pictures"), later("Captions")
KEEP_ALL, CANCEL, AGREE = later("Keep all as they are"), later("Cancel"), later("I agree: start")
"""Buttons of a plan card."""
TRAIN_TITLE = later("Train a LoRA from pictures")
WHICH_SUBJECT = later("What do the pictures show?")
UPLOAD_TITLES = (later("Pictures"), later("More pictures"), later("Even more pictures"))
UPLOAD_ABOUT = later("JPEG, PNG, WebP or HEIC; 8 to 20 in all work best")
"""The form of `/train`."""
