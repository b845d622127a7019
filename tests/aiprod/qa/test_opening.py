"""A file is opened within bounds, and what is no video of ours is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from av.error import FFmpegError

from aiprod.qa.opening import bounded, opened
from tests.aiprod.qa.specimens import moving, write


def test_the_video_is_decoded_by_one_thread_and_no_larger_picture_than_we_take(tmp_path: Path) -> None:
    with opened(write(tmp_path / "a.mp4", moving(4))) as (_, video):
        assert video is not None and bounded(video)
        assert video.codec_context.thread_count == 1
        assert video.codec_context.options["max_pixels"] == "36000000"


def test_a_playlist_that_names_another_file_is_not_opened(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", moving(4))
    (tmp_path / "b.mp4").write_text("#EXTM3U\n#EXTINF:1,\na.mp4\n")
    with pytest.raises(FFmpegError), opened(tmp_path / "b.mp4"):
        pass
