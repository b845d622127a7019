"""What goes wrong, ordered in words: for one request in its prompt, or as a rule for every request to a backend.

`[[runway=lose]] [[veo3=bill:1.3,slow:3]]` in a prompt, or the rule `lose` for `runway`; a prompt's own words come before
the rule. A `|` gives the next request another order, `*N` gives N requests the same, the last one repeats:
`refuse:503*3|lose|ok`. A prompt's requests are counted per prompt, a rule's per backend. Without an order everything
goes well, and nothing here is left to chance: the same orders give the same faults.

Moderation is charged by Runway and free at the others. What a vendor has no word for is said in the nearest it has:
`queue` is THROTTLED at Runway, `starting` at Replicate and simply not done at Vertex.

| word | what happens |
|---|---|
| ok | nothing goes wrong |
| **at the door** | |
| refuse:N, refuse:N:S | answered HTTP N, nothing runs; with S: `Retry-After: S` |
| broke | refused because no money is left, as this vendor says it |
| quota | refused because the day's quota is used up, as this vendor says it |
| reset | the connection is cut before the request is read, nothing runs |
| lose | accepted and booked, then the connection is cut |
| lose:N | accepted and booked, then answered HTTP N |
| late:N | accepted N seconds after it came, and never answered |
| stall:N | accepted and booked at once, answered after N seconds |
| **while it is made** | |
| queue:N | waits N seconds in the vendor's queue first |
| slow:N | the render takes N seconds |
| hang | the render never ends |
| busy:N, busy:NxM | asking how it does is answered HTTP N, the first time or the first M times |
| vanish, vanish:M | asking for it is answered 404 although it runs, always or the first M times |
| strange, strange:WORD | its status is a word that nobody documented |
| lag:N | a listing shows it N seconds later than others |
| **how it ends** | |
| fail, fail:CODE | the render fails, free |
| fail-charged, fail-charged:CODE | the render fails, charged |
| moderated, moderated:http | refused for its content before it is made: an immediate failure, or an HTTP error |
| moderated-late | withheld for its content after it was made; charged where the vendor does |
| aborted | the vendor gives up on it, free |
| empty, empty:bare | it succeeds without a video; bare: without any result |
| flip | it has succeeded when asked first, and failed when asked again; charged |
| bill:X | the bill is X times the price |
| **its file** | |
| gone | the first try to fetch it is answered 503 |
| expired | the first address given for it has expired |
| html | a page instead of a video |
| corrupt, truncated, brief, still | damaged pictures; only its first half; half as long as ordered; a picture that stands still |
| cutoff | the connection is cut in the middle |
| endless, trickle | it never stops coming; one byte a second |
| redirect:URL | its address sends you elsewhere |
| **what a judge says** | |
| blocked | nothing, for the clip's content; charged for what it read |
| max-tokens | it is cut off in the middle of its answer |
| garbage | words instead of the shape that was asked for |
| poor | nothing that was ordered is there, and every scale is low |
| unsure | it cannot tell |
| swing | another number for every sample |
| gullible | it does what a text in the clip tells it to: yes to everything, and full points |
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

__all__ = ["Order", "Orders", "StrangeOrder", "parse"]

#: One request's order: the words with their values.
Order = Mapping[str, str]

_NUMBER = r"\d+(\.\d+)?"
#: `*N` for more than anybody sends is a slip of the pen.
_MOST = 10_000
_CODE = r"([A-Za-z0-9_.]+)?"
#: Every word, and what its value looks like.
_WORDS = {
    "ok": "",
    "refuse": r"\d{3}(:\d+)?",
    "broke": "",
    "quota": "",
    "reset": "",
    "lose": r"(\d{3})?",
    "late": _NUMBER,
    "stall": _NUMBER,
    "queue": _NUMBER,
    "slow": _NUMBER,
    "hang": "",
    "busy": r"\d{3}(x\d+)?",
    "vanish": r"\d*",
    "strange": _CODE,
    "lag": _NUMBER,
    "fail": _CODE,
    "fail-charged": _CODE,
    "moderated": r"(http)?",
    "moderated-late": "",
    "aborted": "",
    "empty": r"(bare)?",
    "flip": "",
    "bill": _NUMBER,
    "gone": "",
    "expired": "",
    "html": "",
    "corrupt": "",
    "truncated": "",
    "brief": "",
    "still": "",
    "cutoff": "",
    "endless": "",
    "trickle": "",
    "redirect": r"\S+",
    "blocked": "",
    "max-tokens": "",
    "garbage": "",
    "poor": "",
    "unsure": "",
    "swing": "",
    "gullible": "",
}


class StrangeOrder(ValueError):
    """A word that nobody knows, or a value that does not fit it: never taken for silence."""


def parse(text: str) -> list[dict[str, str]]:
    """Return the orders of one request after the other. Raises `StrangeOrder`."""
    turns: list[dict[str, str]] = []
    for turn in text.split("|"):
        said, star, times = turn.partition("*")
        if star and not (times.isdecimal() and 1 <= int(times) <= _MOST):
            raise StrangeOrder(f"unknown order: {turn}")
        turns += [_words(said)] * (int(times) if star else 1)
    if not turns:
        raise StrangeOrder(f"unknown order: {text}")
    return turns


def _words(said: str) -> dict[str, str]:
    parts = [word.partition(":") for word in said.split(",")]
    words = {name: value for name, _, value in parts}
    strange = [":".join(filter(None, pair)) for pair in words.items() if not _fits(*pair)]
    if strange:
        raise StrangeOrder(f"unknown order: {', '.join(sorted(strange))}")
    return words


def _fits(name: str, value: str) -> bool:
    return name in _WORDS and re.fullmatch(_WORDS[name], value) is not None


class Orders:
    """Whose turn it is. Not safe for several threads by itself."""

    def __init__(self, rules: Mapping[str, str] | None = None) -> None:
        self._rules: dict[str, str] = {}
        self._asked: Counter[tuple[str, str]] = Counter()
        for backend, words in (rules or {}).items():
            self.rule(backend, words)

    def rule(self, backend: str, words: str) -> None:
        """Order the same words for every request to a backend, counted anew; no words: no rule. Raises `StrangeOrder`."""
        parse(words or "ok")
        self._rules[backend] = words
        del self._asked[backend, ""]

    def peek(self, backend: str, prompt: str) -> Order:
        """The order of the next request, without taking its turn. Raises `StrangeOrder`."""
        text, counted = self._text(backend, prompt)
        turns = parse(text or "ok")
        return turns[min(self._asked[backend, counted], len(turns) - 1)]

    def take(self, backend: str, prompt: str) -> Order:
        """The order of this request. Raises `StrangeOrder`."""
        order = self.peek(backend, prompt)
        self._asked[backend, self._text(backend, prompt)[1]] += 1
        return order

    def forget(self) -> None:
        """Begin to count anew; the rules stay."""
        self._asked.clear()

    def _text(self, backend: str, prompt: str) -> tuple[str, str]:
        """The words that apply, and under which name their requests are counted."""
        found = re.search(rf"\[\[{re.escape(backend)}=([^\[\]\s]*)\]\]", prompt)
        return (found[1], prompt) if found else (self._rules.get(backend, ""), "")
