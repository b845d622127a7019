"""What looking at a clip costs: our check beside decoding alone and what people use instead, all in one run.

    python -m benchmarks.qa [--rounds 5] [--ffmpeg PROGRAM] [--scenedetect PYTHON]

CPU is user + system time of this process and its children, the median over the rounds with the smallest and the largest;
ratios are to decoding alone in the same round, because machines are busy. PySceneDetect runs in the interpreter named,
which may have its own packages; without it, or without ffmpeg, that row is left out. Exits with 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from aiprod.catalog import catalog
from aiprod.qa import Expected, judge, measure, measure_apart
from benchmarks.kept import keep
from benchmarks.qa_corpus.files import write
from benchmarks.qa_corpus.scenes import KINDS, Clip, music

#: name: width, height, frames per second.
FILMS = {"720p24": (1280, 720, 24), "1080p30": (1920, 1080, 30)}
SECONDS = 5
BASE = "PyAV decodes, nothing else"
OURS, USUAL = "our check, all of it", "the usual OpenCV loop"
#: What it may cost at most, by the medians: times decoding alone, times the usual loop, and megabytes.
MOST_TIMES_DECODING, MOST_TIMES_USUAL, MOST_MEGABYTES = 1.7, 0.5, 300.0
#: What people reach for: each finds one thing. Small pictures, or it would cost twenty times as much.
_FILTERS = "scale=320:-2:flags=area,blackdetect=d=0.1,freezedetect=n=-60dB:d=0.5,blockdetect,blurdetect,signalstats,scdet,siti"
_SOUND_FILTERS = "silencedetect=n=-60dB:d=0.5,ebur128=peak=true,astats"
_SCENEDETECT = "import sys; from scenedetect import ContentDetector, detect; detect(sys.argv[1], ContentDetector())"
#: The peak since the program began; what `getrusage` tells is its parent's.
_MEMORY = (
    "import sys, pathlib; from aiprod.qa import measure; measure(pathlib.Path(sys.argv[1])); "
    "print([line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')][0])"
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ffmpeg", default=shutil.which("ffmpeg"), help="an ffmpeg program")
    parser.add_argument("--scenedetect", help="a Python interpreter that has PySceneDetect")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    missed = 0
    films: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, shape in FILMS.items():
            film = _film(Path(folder) / f"{name}.mp4", *shape)
            designs = _designs(Expected(seconds=SECONDS, fps=shape[2], width=shape[0], height=shape[1], audio=True))
            designs |= _others(args.ffmpeg, args.scenedetect)
            seen = run(film, designs, args.rounds)
            print(table(name, seen))
            films[name] = {"designs": seen, "goals": goals(seen, _memory(film))}
            for goal, value, most in films[name]["goals"]:
                missed += value > most
                print(f"  {'missed' if value > most else 'met':6}  {goal}: {value:.2f}, at most {most:g}", flush=True)
            print()
    print(f"written to {keep('qa', {'seconds': SECONDS, 'ours': OURS, 'films': films})}")
    return 1 if missed else 0


def run(film: Path, designs: dict[str, Callable[[Path], object]], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """CPU and wall seconds of every design, round by round, after one round that nobody counts."""
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in designs}
    for number in range(rounds + 1):
        for name, design in designs.items():
            cpu, wall = _cpu(), time.perf_counter()
            design(film)
            if number:
                seen[name].append((_cpu() - cpu, time.perf_counter() - wall))
    return seen


def goals(seen: dict[str, list[tuple[float, float]]], megabytes: float) -> list[tuple[str, float, float]]:
    """Every goal with what was measured and the most it may be."""
    ours, alone, usual = ([cpu for cpu, _ in seen[name]] for name in (OURS, BASE, USUAL))
    return [
        ("CPU, times decoding alone", statistics.median(a / b for a, b in zip(ours, alone, strict=True)), MOST_TIMES_DECODING),
        (
            "CPU, times the usual OpenCV loop",
            statistics.median(a / b for a, b in zip(ours, usual, strict=True)),
            MOST_TIMES_USUAL,
        ),
        ("peak memory of a process that measures it, MB", megabytes, MOST_MEGABYTES),
    ]


def table(film: str, seen: dict[str, list[tuple[float, float]]]) -> str:
    base = [cpu for cpu, _ in seen[BASE]]
    lines = [f"{film}, {SECONDS} s, {len(base)} rounds", f"  {'':44} {'CPU s':>7}  x decoding (least-most)   wall s"]
    for name, rounds in seen.items():
        ratios = [cpu / alone for (cpu, _), alone in zip(rounds, base, strict=True)]
        cpu, wall = (statistics.median(values) for values in zip(*rounds, strict=True))
        spread = f"{statistics.median(ratios):5.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        lines.append(f"  {name:44} {cpu:7.3f}  {spread:23}  {wall:6.2f}")
    return "\n".join(lines)


def _designs(expected: Expected) -> dict[str, Callable[[Path], object]]:
    quality = catalog().quality
    return {
        BASE: _decode,
        OURS: lambda film: judge(measure(film), expected, quality),
        "our check in its own process": lambda film: judge(measure_apart(film), expected, quality),
        USUAL: _opencv,
    }


def _others(ffmpeg: str | None, scenedetect: str | None) -> dict[str, Callable[[Path], object]]:
    found: dict[str, Callable[[Path], object]] = {}
    if ffmpeg:
        found["ffmpeg decodes, nothing else"] = lambda film: _program(ffmpeg, "-i", film, "-map", "0:v", "-f", "null", "-")
        chain = ("-vf", _FILTERS, "-af", _SOUND_FILTERS, "-f", "null", "-")
        found["ffmpeg, 7 + 3 filters on small pictures"] = lambda film: _program(ffmpeg, "-i", film, *chain)
    if scenedetect:
        found["PySceneDetect (cuts only, with start-up)"] = lambda film: _program(scenedetect, "-c", _SCENEDETECT, film)
    return found


def _decode(film: Path) -> None:
    with av.open(str(film)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for _ in container.decode(video=0):
            pass


def _opencv(film: Path) -> list[float]:
    """Grey, mean, Laplacian, difference, and Farneback's flow on every fifth frame: what tutorials do."""
    reader, last, found = cv2.VideoCapture(str(film)), None, []
    number = 0
    while True:
        there, frame = reader.read()
        if not there:
            return found
        grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        found += [float(grey.mean()), float(cv2.Laplacian(grey, cv2.CV_64F).var())]
        if last is not None:
            found.append(float(cv2.absdiff(grey, last).mean()))
            if number % 5 == 0:
                small = [cv2.resize(picture, (320, 180)) for picture in (last, grey)]
                found.append(float(np.abs(cv2.calcOpticalFlowFarneback(*small, None, 0.5, 3, 15, 3, 5, 1.2, 0)).mean()))
        last, number = grey, number + 1


def _program(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=600)


def _memory(film: Path) -> float:
    done = subprocess.run([sys.executable, "-c", _MEMORY, str(film)], check=True, capture_output=True, timeout=600)
    return int(done.stdout) / 1024


def _film(path: Path, width: int, height: int, fps: int) -> Path:
    rng = np.random.default_rng(24)
    frames = KINDS["handheld"][0](rng, SECONDS * fps, (width, height))
    return write(Clip(frames, music(rng, SECONDS), fps), path, options={"preset": "medium", "crf": "20"})


def _cpu() -> float:
    """CPU seconds of this process and of all children, the measuring one included while it lives."""
    total = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    for child in Path("/proc/self/task").glob("*/children"):
        for number in child.read_text().split():
            fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / 100
    return total


if __name__ == "__main__":
    sys.exit(main())
