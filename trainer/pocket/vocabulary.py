"""Every word a pretraining caption may hold, and the tokenizer built from them.

Words of this list are one token each. Any other text falls apart into bytes (or into pieces that two listed words
share), so a member's trigger such as `zorvex` becomes several tokens and never an unknown one.
"""

from typing import Any

CLASSES = (
    *("dog", "cat", "bird", "fish", "rabbit", "butterfly", "snail", "toy", "robot", "teapot", "man", "woman"),
    *("car", "boat", "house", "tree", "flower", "mushroom", "balloon", "umbrella", "rocket", "star", "cactus", "lamp"),
)
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white")
BACKGROUNDS = {
    "grass": "on grass",
    "snow": "in the snow",
    "sea": "at sea",
    "night": "at night",
    "brick": "by a brick wall",
    "desert": "in the desert",
    "room": "in a room",
    "sky": "in the sky",
}
PATTERNS = ("stripes", "dots")
STYLES = ("pencil", "watercolour", "pixel", "poster", "neon")
SIZES = ("small", "big")
GLUE = (
    *("a", "an", "the", "of", "on", "in", "at", "by", "with", "and", "next", "to", "picture", "drawing", "photo"),
    *("style", "wearing", "person", "background", "scene", ","),
)


def words() -> tuple[str, ...]:
    """The vocabulary in a fixed order; changing it makes exported weights useless."""
    phrases = " ".join(BACKGROUNDS.values()).split()
    return tuple(dict.fromkeys((*GLUE, *CLASSES, *COLOURS, *phrases, *PATTERNS, *STYLES, *SIZES)))


def byte_symbols() -> list[str]:
    """The 256 printable stand-ins of byte-level BPE, in byte order (GPT-2's published mapping)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    moved = {byte: chr(256 + place) for place, byte in enumerate(b for b in range(256) if b not in plain)}
    return [moved.get(byte, chr(byte)) for byte in range(256)]


def merges() -> list[tuple[str, str]]:
    """Merges that grow each word from its end, so that a merge of one word can never break another.

    A piece that closes with `</w>` only ever joins one letter on its left; a suffix shared by two words is shared.
    """
    found: dict[tuple[str, str], None] = {}
    for word in sorted(words(), key=len):
        tail = f"{word[-1]}</w>"
        for letter in reversed(word[:-1]):
            found.setdefault((letter, tail))
            tail = letter + tail
    return list(found)


def vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Token to id, and the merges: bytes, closing bytes, merged pieces, then the two special tokens."""
    symbols = byte_symbols()
    pairs = merges()
    tokens = [*symbols, *(f"{symbol}</w>" for symbol in symbols), *(left + right for left, right in pairs)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    return {token: number for number, token in enumerate(tokens)}, pairs


def nonce(random: Any) -> str:  # noqa: ANN401 -- random.Random or anything with its randint and choice
    """A pronounceable made-up word of two or three syllables, never a listed one."""
    syllables = [
        "".join((random.choice("bdfgjklmnprstvwxz"), random.choice("aeiou"))) for _ in range(random.randint(2, 3))
    ]
    word = "".join(syllables) + random.choice(("", "", "x", "k", "s", "n"))
    return nonce(random) if word in words() else str(word)
