"""How often the technical check finds what is wrong, and how often it finds what is not there.

    python -m benchmarks.qa_accuracy [--split dev|held-out|styles] [--clips FOLDER] [--files FOLDER] [--keep FILE]
                                    [--scenes NAMES] [--only WORDS]

Draws every scene of one half of the corpus, spoils it in every way it knows, measures and judges each file, and prints
recall per defect with 95 % Wilson intervals, findings on clean clips, and precision. Thresholds may be set on `dev` only.
`styles` are clips of what makers do on purpose; with `--only none` nothing is spoiled.
`--clips` adds real clips from FOLDER/dev or FOLDER/held-out; none are in this repository.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from aiprod.catalog import catalog
from aiprod.qa import Expected, judge, measure
from benchmarks.qa_corpus.defects import DEFECTS, Defect
from benchmarks.qa_corpus.files import CODECS, write
from benchmarks.qa_corpus.scenes import DEV, HELD_OUT, Clip, Scene, from_folder, scenes
from benchmarks.qa_corpus.styles import STYLES, styles

CLEAN = "clean"
#: Pictures that differ by less than this on the whole, in codes, are the same.
_TRIFLE = 0.25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--split", choices=(DEV, HELD_OUT, STYLES), default=DEV)
    parser.add_argument("--clips", type=Path, help="a folder with real clips in `dev` and `held-out`")
    parser.add_argument("--per-kind", type=int, default=2, help="scenes drawn of each kind")
    parser.add_argument("--only", default="", help="defects whose name has one of these words in it, separated by commas")
    parser.add_argument("--keep", type=Path, help="write one JSON line per file here")
    parser.add_argument("--files", type=Path, help="keep the files made in this folder, and take them from there next time")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--scenes", default="", help="only these, separated by commas")
    args = parser.parse_args()
    every = _scenes(args.split, args.per_kind, args.clips)
    wanted = [scene for scene in every if not args.scenes or scene.name in args.scenes.split(",")]
    rows: list[dict[str, Any]] = []
    with ProcessPoolExecutor(args.processes) as pool:
        jobs = [pool.submit(score, scene.name, args.split, args.per_kind, args.clips, args.only, args.files) for scene in wanted]
        for job in jobs:
            rows += job.result()
    if args.keep:
        args.keep.write_text("".join(json.dumps(row) + "\n" for row in rows))
    print(table(rows))


def _scenes(split: str, per_kind: int, clips: Path | None) -> list[Scene]:
    drawn = styles(per_kind) if split == STYLES else scenes(split, per_kind)
    return drawn + (from_folder(clips, split) if clips else [])


def score(name: str, split: str, per_kind: int, clips: Path | None, only: str, files: Path | None) -> list[dict[str, Any]]:
    """Make, measure and judge every file of one scene."""
    cv2.setNumThreads(1)
    every = _scenes(split, per_kind, clips)
    scene = next(scene for scene in every if scene.name == name)
    with tempfile.TemporaryDirectory() as folder:
        return list(_rows(scene, files or Path(folder), only, keep=files is not None))


def _rows(scene: Scene, folder: Path, only: str, *, keep: bool) -> Iterator[dict[str, Any]]:
    folder.mkdir(parents=True, exist_ok=True)
    clip = scene.make()
    seed = _number(scene.name)
    codec, pixels, options = CODECS[seed % len(CODECS)]
    coding = {"codec": codec, "pixels": pixels, "options": options}
    expected = Expected(seconds=clip.seconds, fps=clip.fps, width=clip.size[0] // 2 * 2, height=clip.size[1] // 2 * 2, audio=True)
    clean = folder / f"{scene.split}-{scene.name}.mp4"
    if not clean.exists():
        write(clip, clean, **coding)
    yield _judged(scene, CLEAN, clean, expected)
    for defect in DEFECTS:
        if not any(word in defect.name for word in only.split(",")) or clip.fps < defect.least_fps:
            continue
        path = clean.with_name(f"{clean.stem}-{_number(defect.name):x}.mp4")
        if defect.spoil and not _visible(defect.spoil(clip, np.random.default_rng([seed, _number(defect.name)])), clip):
            # A bar over black, a still that did not move: there is nothing to find.
            continue
        if not path.exists():
            _spoil(defect, clip, clean.read_bytes(), path, coding, np.random.default_rng([seed, _number(defect.name)]))
        yield _judged(scene, defect.name, path, expected)
        if not keep:
            path.unlink()


def _visible(spoiled: Clip, clip: Clip) -> bool:
    """Whether pictures, if they are what changed, changed by more than a trifle."""
    if len(spoiled.frames) != len(clip.frames) or spoiled.size != clip.size or spoiled.sound is not clip.sound:
        return True
    if spoiled.fps != clip.fps:
        return True
    return float(np.mean([cv2.mean(cv2.absdiff(a, b))[0] for a, b in zip(spoiled.frames, clip.frames, strict=True)])) > _TRIFLE


def _number(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")


def _spoil(defect: Defect, clip: Clip, clean: bytes, path: Path, coding: dict[str, Any], rng: np.random.Generator) -> None:
    how = dict(defect.encode)
    if "codec" in how:
        how.setdefault("pixels", "yuv420p")
    spoiled = defect.spoil(clip, rng) if defect.spoil else clip
    data = write(spoiled, path, **{**coding, **how}).read_bytes() if defect.spoil or how else clean
    path.write_bytes(defect.damage(data, rng) if defect.damage else data)


def _judged(scene: Scene, defect: str, path: Path, expected: Expected) -> dict[str, Any]:
    measured = measure(path)
    found = judge(measured, expected, catalog().quality)
    return {
        "scene": scene.name,
        "defect": defect,
        "found": {finding.code: finding.severity for finding in found},
        "said": [finding.evidence for finding in found],
        "measured": measured.model_dump(exclude={"levels", "channels", "repeated"}),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Recall per defect, then what was found on clean clips, then precision."""
    by_defect: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_defect[row["defect"]].append(row)
    lines = [f"{'defect':28} {'kind':7} {'found':>9}  recall  95 % interval"]
    right = wrong = 0
    kinds: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    strangers: Counter[str] = Counter()
    for defect in DEFECTS:
        files = by_defect.get(defect.name, [])
        if not files:
            continue
        hits = sum(bool(set(row["found"]) & set(defect.codes)) for row in files)
        kinds[defect.kind][0] += hits
        kinds[defect.kind][1] += len(files)
        low, high = wilson(hits, len(files))
        lines.append(f"{defect.name:28} {defect.kind:7} {hits:4}/{len(files):<4}  {hits / len(files):.3f}   {low:.2f}-{high:.2f}")
        for row in files:
            right += len(set(row["found"]) & {*defect.codes, *defect.also})
            strange = set(row["found"]) - {*defect.codes, *defect.also}
            wrong += len(strange)
            strangers.update(strange)
    lines.append("")
    for kind, (hits, of) in kinds.items():
        low, high = wilson(hits, of)
        lines.append(f"all {kind}: {hits}/{of} = {hits / of:.3f} ({low:.3f}-{high:.3f})")
    return "\n".join([*lines, *_clean(by_defect[CLEAN]), *_precision(right, wrong, strangers)])


def _clean(rows: list[dict[str, Any]]) -> Iterator[str]:
    grave = [row for row in rows if {"veto", "major"} & set(row["found"].values())]
    any_ = [row for row in rows if row["found"]]
    low, high = wilson(len(grave), len(rows))
    yield f"\nclean clips with a false veto or major: {len(grave)}/{len(rows)} ({low:.3f}-{high:.3f}); any finding: {len(any_)}"
    yield from (f"  {row['scene']}: {', '.join(f'{code} ({weight})' for code, weight in row['found'].items())}" for row in any_)


def _precision(right: int, wrong: int, strangers: Counter[str]) -> Iterator[str]:
    low, high = wilson(right, right + wrong)
    yield f"precision of findings: {right}/{right + wrong} = {right / max(1, right + wrong):.3f} ({low:.3f}-{high:.3f})"
    yield "  not explained by the defect: " + (", ".join(f"{code} {n}" for code, n in strangers.most_common()) or "none")


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a proportion."""
    if not of:
        return 0.0, 1.0
    z, share = 1.959964, hits / of
    middle = share + z * z / (2 * of)
    spread = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return (middle - spread) / (1 + z * z / of), (middle + spread) / (1 + z * z / of)


if __name__ == "__main__":
    main()
