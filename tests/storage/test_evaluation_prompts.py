"""Prompts of a comparison: the two lists of DreamBooth, files of people, and what is refused of them by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.evaluation_prompts import LONGEST, MAX_BYTES, MOST_PROMPTS, Prompt, PromptsRefused, parsed, prompts_of


def test_the_lists_of_dreambooth_have_25_prompts_each_and_name_trigger_and_class() -> None:
    things, living = prompts_of("object"), prompts_of("live")
    assert (len(things), len(living)) == (25, 25)
    assert things[0].text("zorvex", "dog") == living[0].text("zorvex", "dog") == "a zorvex dog in the jungle"
    assert things[14].plain("teapot") == "a teapot floating in an ocean of milk"
    assert living[13].text("sks", "cat") == "a sks cat wearing a black top hat and a monocle"
    assert things[-1] == living[-1] == Prompt(line="a cube shaped {trigger} {class_word}")
    assert set(things[:10]) == set(living[:10])


def test_places_are_written_in_any_of_the_usual_ways_and_other_lines_are_passed_over() -> None:
    text = "# mine\n\na {} here\r\n  a {0} {1}  there\na {} {} beside\na cat in {trigger} style\na {trigger} alone\n"
    found = parsed(b"\xef\xbb\xbf" + text.encode(), "p.txt")
    assert [prompt.text("zor", "dog") for prompt in found] == [
        "a zor dog here",
        "a zor dog there",
        "a zor dog beside",
        "a cat in zor style",
        "a zor alone",
    ]
    assert [prompt.plain("dog") for prompt in found] == [
        "a dog here",
        "a dog there",
        "a dog beside",
        "a cat",
        "a dog alone",
    ]


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (b"", "holds no prompts"),
        (b"# only a remark", "holds no prompts"),
        ("a {} dog".encode("utf-16"), "UTF-16; save it as UTF-8"),
        ("a {} café".encode("latin-1"), r"not written in UTF-8 \(byte 8\)"),
        (b"a {}\0dog", "holds no text"),
        (b"a {}\x1b[31m dog", "holds no text"),
        (b"a {} dog\na dog", "line 2 has no place for the subject"),
        (b"a {} dog\na {", "line 2 has a brace"),
        (b"a {subject} dog", "line 1 has a place in braces that is not known"),
        (b"a {trigger.__class__} dog", "is not known"),
        (b"a {trigger:>9999999999} dog", "is not known"),
        (b"a {trigger!r} dog", "is not known"),
        (b"a {} {} {} dog", "more braces than have a meaning"),
        (b"a {} {{dog}}", "more braces than have a meaning"),
        (b"a {} dog\n\na {0} {1} dog", "line 3 says the same as p.txt, line 1"),
        (b"a {} " + b"x" * LONGEST, f"at most {LONGEST}"),
        (b"".join(b"a {} number %d\n" % n for n in range(MOST_PROMPTS + 1)), f"at most {MOST_PROMPTS} are drawn"),
        (b"a {}\n" + b"#" * MAX_BYTES, "larger than 64 KiB"),
    ],
)
def test_what_is_no_list_of_prompts_is_refused_by_name_and_line(data: bytes, answer: str) -> None:
    with pytest.raises(PromptsRefused, match=answer) as refused:
        parsed(data, "p.txt")
    assert str(refused.value).startswith("p.txt")


def test_a_name_that_is_nearly_right_is_answered_with_the_right_one(tmp_path: Path) -> None:
    with pytest.raises(PromptsRefused, match="object is near to it"):
        prompts_of("objects")
    (tmp_path / "prompts.txt").write_text("a {}")
    with pytest.raises(PromptsRefused, match=r"prompts\.txt is near to it"):
        prompts_of(str(tmp_path / "promts.txt"))
    with pytest.raises(PromptsRefused, match="built in are object and live"):
        prompts_of(str(tmp_path / "nowhere" / "x"))
    with pytest.raises(PromptsRefused, match="there is no prompt file"):
        prompts_of(str(tmp_path))
