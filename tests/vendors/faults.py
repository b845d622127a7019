"""What comes of every fault at every vendor: the table that the tests hold and the docs show."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["TABLE", "End", "markdown"]


class End(NamedTuple):
    """How a purchase stands 36 minutes later. `money`: nothing, the vendor's bill, the quote, or still held."""

    state: str
    kind: str = ""
    money: str = "nothing"
    verdict: str = ""

    @property
    def next(self) -> str:
        """What happens then, in a few words."""
        if self.state == "succeeded":
            return {"accepted": "delivered", "rejected": "another attempt elsewhere", "": "fetched again, then a person"}[
                self.verdict
            ]
        if self.state in ("unknown", "submitted"):
            return "a person says what became of it; the shot goes elsewhere"
        if self.state == "absent":
            return "asked again here"
        if self.kind in ("auth", "invalid_input", "moderated", "quota_exhausted"):
            return "elsewhere, and this shot not here again"
        return "another attempt elsewhere"


def _taken(verdict: str, veo: str = "the quote") -> tuple[End, End, End]:
    billed = End("succeeded", "", "the bill", verdict)
    return billed, billed._replace(money=veo), billed


def _refused(kind: str) -> tuple[End, End, End]:
    return (End("rejected", kind),) * 3


_FINE = _taken("accepted")
_BAD = _taken("rejected")
_NO_FILE = _taken("")
_LOST = End("unknown", "timeout", "held")
_NEVER = End("absent", "transient")
_FOUND = _FINE[1:]
_WATCHED = End("submitted", "", "held")
_BROKEN = End("failed", "vendor_internal", "the bill")
_DEAR = End("failed", "vendor_internal", "the quote")
_PASSING = End("failed", "transient", "the quote")
_UNSAFE = (End("failed", "moderated", "the bill"), End("failed", "moderated"), End("failed", "moderated", "the quote"))

#: Fault, what it is, and its end at Runway, at Veo 3 with a bucket, and at Replicate.
TABLE: tuple[tuple[str, str, tuple[End, End, End]], ...] = (
    ("ok", "nothing goes wrong", _FINE),
    ("refuse:400", "HTTP 400", _refused("invalid_input")),
    ("refuse:401", "HTTP 401: the key is refused", _refused("auth")),
    ("broke", "out of credits", _refused("quota_exhausted")),
    ("quota", "the day's quota is used up", _refused("quota_exhausted")),
    ("refuse:429:30", "HTTP 429, come again in 30 s", _refused("rate_limited")),
    ("moderated:http", "refused for its content", _refused("moderated")),
    ("refuse:503", "HTTP 503", (_LOST, _NEVER, _NEVER)),
    ("reset", "cut before the request was read", (_LOST, _NEVER, _NEVER)),
    ("lose", "accepted, then cut", (_LOST, *_FOUND)),
    ("lose:500", "accepted, then HTTP 500", (_LOST, *_FOUND)),
    ("stall:30", "accepted, answered after our patience", (_LOST, *_FOUND)),
    ("late:30", "accepted 30 s after we gave up", (_LOST, *_FOUND)),
    ("queue:30", "waits in the vendor's queue first", _FINE),
    ("lag:60", "a listing shows it 60 s later", _FINE),
    ("busy:503x2", "asking is answered 503, twice", _FINE),
    ("vanish:2", "a known id is answered 404, twice", _FINE),
    ("slow:1200", "takes 20 minutes", _FINE),
    ("hang", "never ends", (_WATCHED, _WATCHED, End("cancelled", "timeout", "the quote"))),
    ("vanish", "a known id is answered 404 for ever", (_WATCHED, _WATCHED, _WATCHED)),
    ("strange", "a status that nobody documented", (_WATCHED, _DEAR, _WATCHED)),
    ("fail", "the render fails, free", (End("failed", "vendor_internal"), _PASSING, _DEAR)),
    ("fail-charged", "the render fails, charged", (_BROKEN, _PASSING, _DEAR)),
    ("moderated", "fails for its content before it is made", _UNSAFE),
    ("moderated-late", "withheld for its content after it was made", _UNSAFE),
    ("aborted", "the vendor gives up on it", (End("cancelled", "gone"), _PASSING, End("cancelled", "timeout"))),
    ("empty", "done, without a video", (_BROKEN, _DEAR, _BROKEN)),
    ("flip", "succeeded, then failed", _NO_FILE),
    ("bill:1.3", "billed 1.3 times the quote", _FINE),
    ("gone", "its file is answered 503 once", _FINE),
    ("expired", "its first address has expired", _FINE),
    ("cutoff", "its file breaks off on the way", _NO_FILE),
    ("html", "its file is a page", _NO_FILE),
    ("truncated", "its file is half of one", _NO_FILE),
    ("redirect:http://169.254.169.254/x", "its address leads inside", _NO_FILE),
    ("corrupt", "damaged pictures", _BAD),
    ("brief", "half as long as ordered", _BAD),
    ("still", "a picture that stands still", _BAD),
)


def markdown() -> str:
    """Return the table as the docs show it."""
    head = "| what happens | Runway | Veo 3 with a bucket | Replicate | and then |\n|---|---|---|---|---|"
    rows = []
    for word, what, ends in TABLE:
        cells = [_cell(end) for end in ends]
        then = list(dict.fromkeys(end.next for end in ends))
        rows.append(f"| {what} (`{word}`) | {' | '.join(cells)} | {' / '.join(then)} |")
    return "\n".join([head, *rows])


def _cell(end: End) -> str:
    why = f" ({end.kind})" if end.kind and end.kind != "timeout" else ""
    paid = {"nothing": "free", "the bill": "pays the bill", "the quote": "pays the quote", "held": "money stays held"}[end.money]
    return f"{end.state}{why}, {paid}"
