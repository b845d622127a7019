"""What is written on a preview can be read, in every shape."""

from __future__ import annotations

import numpy as np
import pytest

from aiprod.backends.animatic_slate import Slate, wrap

SIZE, ROOM = 20, 400


def planes(width, height):
    return (np.full((height, width), 120, np.uint8), *(np.full((height // 2, width // 2), 128, np.uint8) for _ in range(2)))


class TestWrap:
    def test_a_short_prompt_is_one_line(self):
        assert wrap("A quiet street", SIZE, ROOM, 3) == ["A quiet street"]

    def test_lines_break_between_words_and_lose_none(self):
        lines = wrap("one two three four five six seven eight nine ten eleven", SIZE, ROOM, 3)
        assert 1 < len(lines) <= 3
        assert " ".join(lines) == "one two three four five six seven eight nine ten eleven"

    def test_what_does_not_fit_ends_in_an_ellipsis(self):
        lines = wrap("word " * 200, SIZE, ROOM, 3)
        assert len(lines) == 3 and lines[-1].endswith("…")

    def test_one_endless_word_and_text_without_spaces_are_broken(self):
        assert len(wrap("x" * 300, SIZE, ROOM, 3)) == 3
        assert len(wrap("夜" * 200, SIZE, ROOM, 3)) == 3

    @pytest.mark.parametrize("text", ["", "\x00\x07", "🎬", "مرحبا"])
    def test_any_text_is_taken(self, text):
        assert len(wrap(text, SIZE, ROOM, 3)) == 1


class TestSlate:
    @pytest.mark.parametrize(("width", "height"), [(1280, 720), (720, 1280), (480, 480)])
    def test_label_and_caption_are_on_the_first_and_the_last_frame(self, width, height):
        slate = Slate(prompt="A quiet street", shot=3, width=width, height=height, fps=24, frames=48)
        for number in (0, 47):
            picture = planes(width, height)
            slate.put_on(number, picture)
            assert picture[0][: height // 8].max() > 160
            assert picture[0][-height // 5 : -4].max() > 180
            assert (picture[0][height // 2 - 2 : height // 2 + 2] == 120).all()

    def test_the_time_code_runs(self):
        slate = Slate(prompt="x", shot=1, width=1280, height=720, fps=24, frames=48)
        corners = []
        for number in (1, 2, 25):
            picture = planes(1280, 720)
            slate.put_on(number, picture)
            corners.append(picture[0][:60, 1080:].copy())
        assert not np.array_equal(corners[0], corners[1]) and not np.array_equal(corners[0], corners[2])
