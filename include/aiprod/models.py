"""The nouns that travel between rooms: frozen, closed, small. Money is integer micro-dollars."""

from __future__ import annotations

import hashlib
import json
import textwrap
from collections.abc import Sequence
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from aiprod.addresses import public_https
from aiprod.errors import FailureKind, MoneyMoved, SpecError

#: Integer micro-dollars: 1 USD = 1_000_000. 2**53 micro-dollars are nine billion dollars, so JSON is safe.
Micros = int
USD: Micros = 1_000_000

AspectRatio = Literal["16:9", "9:16", "1:1", "4:3", "3:4"]
Resolution = Literal["480p", "720p", "1080p", "4k"]
Prefer = Literal["quality", "speed", "cost"]
Priority = Literal["low", "normal", "high"]
AtCap = Literal["fail", "wait", "degrade"]
#: What an order may want on purpose, and the technical check else complains of.
Allowance = Literal["cuts", "black", "black_and_white", "bars", "stillness"]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]

MAX_SHOTS = 40
MAX_PROMPT = 2_000
MAX_STYLE = 200
MIN_SHOT_SECONDS = 1.0
#: A wall of text is not read; the first dozen lines are.
MAX_PROBLEMS = 12


def micros(usd: Decimal) -> Micros:
    """Return dollars as micro-dollars, rounded up once: a price is never understated."""
    return int((usd * USD).to_integral_value(ROUND_CEILING))


def limit_micros(usd: Decimal) -> Micros:
    """Return a limit in dollars as micro-dollars, rounded down: what does not fit under it is not allowed."""
    return int((usd * USD).to_integral_value(ROUND_FLOOR))


def dollars(amount: Micros) -> str:
    """Return micro-dollars as people read them, `$1.50`; sub-cent amounts keep their digits."""
    value = Decimal(amount) / USD
    cents = value.quantize(Decimal("0.01"), ROUND_HALF_EVEN)
    return f"${cents:,}" if cents == value else f"${value.normalize():,f}"


def fingerprint(value: Any) -> str:
    """Return the SHA-256 of a JSON-serialisable value, independent of key order."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


class Noun(BaseModel):
    """What every value that crosses a room boundary has in common."""

    # Validators are built when a noun is first used: every Airflow task imports them all and uses a few.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)


class VideoBackend(StrEnum):
    """The backends people type. The catalogue may know more; `auto` lets routing choose."""

    RUNWAY = "runway"
    VEO3 = "veo3"
    REPLICATE = "replicate"
    ANIMATIC = "animatic"
    AUTO = "auto"


# --- what was asked ----------------------------------------------------------------------------------


Prompt = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_PROMPT)]
#: A few words on how something is made, added to every prompt they are for.
Style = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_STYLE)]
Seconds = Annotated[float, Field(ge=MIN_SHOT_SECONDS, le=3_600)]
Seed = Annotated[int, Field(ge=0, le=4_294_967_295)]


def _a_number(value: object) -> object:
    """Text that reads as a number is one (forms and CSV send text); yes and no are not."""
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


class ShotSpec(Noun):
    """One shot as asked in a shot list."""

    prompt: Prompt = Field(description="What this shot shows.")
    seconds: Seconds = Field(default=5.0, description="Length of this shot in seconds.")
    camera: Style | None = Field(default=None, description="How the camera stands or moves, in a few words.")
    reference_image_url: str | None = Field(default=None, description="https address of an image to start from.")
    seed: Seed | None = Field(default=None, description="Same seed, same request: the same random choices.")

    _image = field_validator("reference_image_url")(lambda url: url if url is None else public_https(url))
    _numbers = field_validator("seconds", "seed", mode="before")(_a_number)


class JobSpec(Noun):
    """One ordered video, as asked. The field order is the order of the trigger form."""

    prompt: Prompt | None = Field(
        default=None,
        title="Prompt",
        description="What the video shows. Leave it empty only when you give a shot list instead.",
        json_schema_extra={"format": "multiline"},
    )
    preset: str = Field(default="quick_social", title="Preset", description="Quality floor, length limit and approval rule.")
    seconds: Seconds | None = Field(
        default=None, title="Seconds", description="Length of the whole video. Default 5; with a shot list, leave it empty."
    )
    aspect_ratio: AspectRatio = Field(default="16:9", title="Aspect ratio", description="Shape of the picture.")
    audio: bool = Field(
        default=True, title="Audio", description="Order sound with the picture. A backend without sound is then left out."
    )
    audio_style: Style | None = Field(
        default=None, title="Audio style", description="How it should sound, in a few words: calm piano, street noise."
    )
    backend: str = Field(default="auto", title="Backend", description="`auto` chooses, and falls back when one fails.")
    budget_usd: Annotated[Decimal, Field(ge=0, le=1_000_000)] | None = Field(
        default=None, title="Budget (USD)", description="The job never costs more than this. Empty: the preset's limit."
    )
    quality_floor: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None,
        title="Quality floor",
        description="0 to 1. Backends expected below it are not used. Empty: the preset's floor.",
    )
    prefer: Prefer = Field(
        default="quality", title="Prefer", description="Speed priority: what routing ranks by among backends that qualify."
    )
    priority: Priority = Field(default="normal", title="Priority", description="Who goes first when slots or money are short.")
    at_cap: AtCap = Field(
        default="fail",
        title="When money is short",
        description="`fail`, `wait` for the next day's budget, or `degrade` below the quality floor where the preset allows.",
    )
    project: Slug = Field(
        default="default", title="Project", description="Whose budget pays: lower-case letters, digits, - and _."
    )
    reference_image_url: str | None = Field(
        default=None, title="Reference image URL", description="https address of an image to start from."
    )
    seed: Seed | None = Field(default=None, title="Seed", description="Same seed, same request: the same random choices.")
    shots: Annotated[tuple[ShotSpec, ...], Field(min_length=1, max_length=MAX_SHOTS)] | None = Field(
        default=None, title="Shot list", description='Instead of a prompt: [{"prompt": "…", "seconds": 5}, …]'
    )
    allows: tuple[Allowance, ...] = Field(
        default=(),
        title="On purpose",
        description="What this video has on purpose, so that it is no defect: cuts, black, black_and_white, bars, stillness.",
        json_schema_extra={"examples": list(get_args(Allowance))},
    )
    job_id: Slug | None = Field(
        default=None, title="Job id", description="Your name for the job. The same id with the same order buys nothing twice."
    )

    _image = field_validator("reference_image_url")(lambda url: url if url is None else public_https(url))
    _numbers = field_validator("seconds", "seed", "budget_usd", "quality_floor", mode="before")(_a_number)

    @field_validator("allows", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        """Forms and CSV send one text, a comma between words."""
        return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value

    @field_validator("allows")
    @classmethod
    def _each_once(cls, words: tuple[Allowance, ...]) -> tuple[Allowance, ...]:
        return tuple(sorted(set(words)))

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> Self:
        if (self.prompt is None) == (self.shots is None):
            raise ValueError("give either a prompt or a shot list, not both and not neither")
        if self.shots is not None and self.seconds is not None:
            raise ValueError("seconds: a shot list has its own lengths; leave seconds empty")
        return self

    @classmethod
    def parse(cls, raw: object) -> JobSpec:
        """Return the spec, or raise `SpecError` with one plain line per field."""
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            raise refused(raw, error) from None

    @property
    def fingerprint(self) -> str:
        """What makes two orders the same order: everything but the name."""
        budget = None if self.budget_usd is None else limit_micros(self.budget_usd)
        # Younger than the first orders: an order that does not use it keeps the fingerprint it had.
        unused = {"at_cap"} if self.at_cap == "fail" else set()
        unused |= set() if self.allows else {"allows"}
        unused |= {"audio_style"} if self.audio_style is None else set()
        order = self.model_dump(mode="json", exclude={"job_id", "budget_usd"} | unused)
        for shot in order["shots"] or []:
            if shot["camera"] is None:
                del shot["camera"]
        return fingerprint([order, budget])

    @property
    def words(self) -> str:
        """What it shows, as somebody wrote it: the prompt, or the first shot's."""
        return self.prompt or (self.shots[0].prompt if self.shots else "")

    def title(self, most: int = 80) -> str:
        """The first words, in one line of at most `most` characters."""
        return textwrap.shorten(self.words, most, placeholder="…") or self.words[:most]

    @property
    def total_seconds(self) -> float:
        return sum(s.seconds for s in self.shots) if self.shots else (self.seconds or 5.0)


def refused(raw: object, error: ValidationError) -> SpecError:
    """Return what is wrong with what somebody sent, in one plain line per field."""
    # A list whose items are wrong is also reported as too short: once the bad ones are gone.
    inside = {e["loc"][:1] for e in error.errors() if len(e["loc"]) > 1}
    told = [e for e in error.errors() if not (e["type"] == "too_short" and e["loc"] in inside)]
    lines = [_plain(e["loc"], e["msg"], e["type"], e.get("input")) for e in told]
    if isinstance(raw, dict) and isinstance(raw.get("shots"), list) and len(raw["shots"]) > MAX_SHOTS:
        lines.insert(0, f"shots: at most {MAX_SHOTS} shots, got {len(raw['shots'])}")
    more = [f"… and {len(lines) - MAX_PROBLEMS} more problems"] if len(lines) > MAX_PROBLEMS else []
    return SpecError([*lines[:MAX_PROBLEMS], *more])


def _plain(loc: Sequence[int | str], message: str, kind: str, value: object) -> str:
    # Names of unknown fields come from outside: they stay on their line, and short.
    where = ".".join(str(part) if str(part).isidentifier() else ascii(part)[:60] for part in loc) or "order"
    if kind == "extra_forbidden":
        return f"{where}: unknown field"
    message = message.removeprefix("Value error, ").replace("Input should be", "must be")
    shown = repr(value)
    if not loc or isinstance(value, dict | list) or len(shown) > 60:
        return f"{where}: {message}" if loc else message
    return f"{where}: {message} (got {shown})"


# --- what will be bought ------------------------------------------------------------------------------


class Shot(Noun):
    """One clip of the manifest. `index` counts from 1."""

    index: int
    prompt: str
    seconds: float
    camera: str | None = None
    reference_image_url: str | None = None
    seed: int | None = None


class Manifest(Noun):
    """The production manifest: the versioned shot list the job will buy."""

    job_id: str
    version: int
    aspect_ratio: AspectRatio
    resolution: Resolution
    audio: bool
    audio_style: str | None = None
    shots: tuple[Shot, ...]

    @property
    def seconds(self) -> float:
        return sum(shot.seconds for shot in self.shots)

    def shot(self, index: int) -> Shot:
        return next(shot for shot in self.shots if shot.index == index)

    def twins(self, index: int) -> tuple[int, ...]:
        """The shots that are to be the very same clip as one, itself included, in order. Without an ordered seed each is
        a picture of its own.
        """
        mine = self.shot(index)
        if mine.seed is None:
            return (index,)
        return tuple(shot.index for shot in self.shots if shot == mine.model_copy(update={"index": shot.index}))


class RenderRequest(Noun):
    """What one backend is asked to make: legal for its model, priced as it stands.

    `seconds` is what is bought, `asked_seconds` what the shot needs; delivery cuts the rest off.
    """

    backend: str
    model: str
    prompt: str
    seconds: float
    asked_seconds: float
    aspect_ratio: AspectRatio
    resolution: Resolution
    width: int
    height: int
    fps: int
    audio: bool
    seed: int
    reference_image_url: str | None = None
    shot: int = 1
    #: The order chose the seed, so that another shot may be asked for in the very same words.
    seed_ordered: bool = False


class JudgeRequest(Noun):
    """What a judge is asked about one take: everything that is sent, but for the clip itself.

    `input_tokens` and `output_tokens` are the most that it can be billed for. `rubric` is the version of what is asked.
    """

    #: Who is paid: a judge of the catalogue.
    backend: str
    model: str
    take_id: str
    sha256: str
    seconds: float
    fps: float
    seed: int
    rubric: str
    instructions: str
    question: str
    answer_schema: dict[str, Any]
    input_tokens: int
    output_tokens: int


class EstimateLine(Noun):
    """One shot at one backend: what it would cost and why that, in micro-dollars."""

    shot: int
    backend: str
    model: str
    bought_seconds: float
    quote: Micros
    note: str = ""


class Estimate(Noun):
    """The price of a manifest before money moves.

    `expected` buys every shot once at the backend routing would choose now; `worst_case` charges every
    allowed attempt, judging included. Both in micro-dollars.
    """

    tariff: str
    lines: tuple[EstimateLine, ...]
    expected: Micros
    worst_case: Micros
    judging: Micros = 0
    refusals: tuple[str, ...] = ()


class Envelope(Noun):
    """What an approval allows, for one manifest version. `amount` in micro-dollars."""

    job_id: str
    version: int
    sequence: int
    amount: Micros
    backends: tuple[str, ...]
    attempts_per_shot: int
    expires_at: datetime
    approved_by: str


# --- routing ------------------------------------------------------------------------------------------


class Candidate(Noun):
    """One backend as one routing choice saw it. `lost` is empty for the winner, else says why not."""

    backend: str
    model: str
    quote: Micros | None = None
    quality: float | None = None
    expected_seconds: float | None = None
    rank: int | None = None
    lost: str = ""
    #: Expected gain in quality per dollar, once a take of the shot was rejected.
    gain: float | None = None
    #: Attempts that it had for the shot before.
    tried: int = 0


class Decision(Noun):
    """One routing choice: every candidate and its reason. Prints as a sentence."""

    shot: int
    chosen: str | None
    model: str | None = None
    quote: Micros | None = None
    prefer: Prefer = "quality"
    floor: float = 0.0
    degraded: bool = False
    #: Nobody was chosen, and with more money somebody would have been.
    short_of_money: bool = False
    candidates: tuple[Candidate, ...] = ()

    def __str__(self) -> str:
        others = "; ".join(f"{c.backend}: {c.lost}" for c in self.candidates if c.lost)
        if self.chosen is None:
            return f"Shot {self.shot}: no backend can take it ({others or 'none known'})."
        why = self._gained() or {"quality": "best expected quality", "speed": "fastest", "cost": "cheapest"}[self.prefer]
        below = f", below the floor of {self.floor:g}, which the preset allows" if self.degraded else ""
        rest = f" Not {others}." if others else ""
        return f"Shot {self.shot} goes to {self.chosen} ({self.model}) for {dollars(self.quote or 0)}: {why}{below}.{rest}"

    def _gained(self) -> str:
        """Why the next attempt after a rejected take goes where it goes; empty before."""
        for won in (c for c in self.candidates if c.backend == self.chosen and c.gain):
            again = ", there again with a new seed" if won.tried else ""
            return f"a take was rejected, and expected gain per dollar is best, {won.gain:.3g}{again}"
        return ""


# --- what a vendor says -------------------------------------------------------------------------------


class Usage(Noun):
    """What a vendor says a render used, in the vendor's own units; `pricing.charged` turns it into money."""

    credits: Decimal | None = None
    #: Seconds of video made, and seconds a machine worked on it.
    output_seconds: Decimal | None = None
    run_seconds: Decimal | None = None


class JobState(Noun):
    """A vendor's render in our five words. `charged` in micro-dollars, or `usage`, where the vendor tells it."""

    state: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    progress: float | None = None
    charged: Micros | None = None
    usage: Usage | None = None
    kind: FailureKind | None = None
    message: str = ""
    money_moved: MoneyMoved = "maybe"

    @property
    def final(self) -> bool:
        return self.state in ("succeeded", "failed", "cancelled")


class Accepted(Noun):
    """The vendor took the request. `state` is given where the vendor finished at once."""

    vendor_id: str
    state: JobState | None = None


class Found(Noun):
    """What looking for a lost request showed.

    `vendor_ids` are renders that are certainly ours. With none, `proof` says whether that shows that
    nothing runs; without proof the purchase stays unknown until a person decides. `interchangeable` renders were asked
    for in the same words by somebody: each may be taken by one purchase, and none is known to be this one's alone.
    """

    vendor_ids: tuple[str, ...] = ()
    proof: bool = False
    interchangeable: bool = False


class Answered(Noun):
    """What a judge answered, as it came. `ended` is the vendor's own word for why it stopped, empty where it just ended."""

    answer_id: str
    text: str
    model: str = ""
    ended: str = ""
    input_tokens: int = 0
    output_tokens: int = 0


class CancelOutcome(Noun):
    """What the vendor said to a cancellation."""

    stopped: Literal["yes", "no", "unknown"]
    refunded: Literal["yes", "no", "unknown"]


class Checkup(Noun):
    """How an account stands at its vendor: what `aiprod doctor` shows. `left` is credits or quota, in the vendor's words."""

    authenticated: Literal["yes", "no", "unknown"] = "unknown"
    left: str = ""
    #: The same as a number, in the vendor's units, where it is one.
    credits: float | None = None
    #: Models of the catalogue that the vendor does not offer any more.
    retired: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


# --- what came back -----------------------------------------------------------------------------------


class Take(Noun):
    """The stored file of a succeeded attempt. `path` is relative to the storage root."""

    take_id: str
    job_id: str
    version: int
    shot: int
    backend: str
    path: str
    sha256: str
    size: int


class StoredFile(Noun):
    """A file that was kept: `path` relative to the storage root, `url` for people, bytes and SHA-256."""

    path: str
    url: str
    sha256: str
    size: int


class Finding(Noun):
    """One thing that is wrong with a take, with the evidence in one sentence. A veto can never ship.

    `when` are stretches of the take, start and end in seconds (none: all of it); `measured` and `threshold` are in `unit`.
    """

    code: str
    severity: Literal["veto", "major", "minor", "info"]
    evidence: str
    when: tuple[tuple[float, float], ...] = ()
    measured: float | None = None
    threshold: float | None = None
    unit: str = ""
    #: A small picture of the frame where it is, where the finding has a place.
    thumbnail: StoredFile | None = None


class Element(Noun):
    """One thing that the prompt asks for, and whether most samples saw it; None where they could not tell."""

    text: str
    shown: Literal["yes", "partly", "no"] | None
    evidence: str = ""


class Judgement(Noun):
    """What the samples of a judge come to. `dimensions` are 0 to 1, None where too few could tell; `spread` in rubric points.

    `coverage` is the weight of the dimensions that were scored. `doubts` say why a person has to look.
    """

    judge: str
    model: str
    rubric: str
    asked: int
    answered: int
    coverage: float = 0.0
    dimensions: dict[str, float | None] = Field(default_factory=dict)
    spread: dict[str, int] = Field(default_factory=dict)
    elements: tuple[Element, ...] = ()
    doubts: tuple[str, ...] = ()
    #: The judge and whoever made the take are the same vendor's.
    kin: bool = False


class QAReport(Noun):
    """What was measured on the decoded take. Scores are 0 to 1; None is never invented.

    `semantic_status` says why `semantic` is None: nobody looked (`unscored`, and `unscored_why`) or nothing to look at
    (`not_applicable`, a labelled preview). `quality` needs both; `calibrated` once it was fitted to people's words.
    """

    take_id: str
    technical: float
    semantic: float | None = None
    semantic_status: Literal["scored", "unscored", "not_applicable"] = "unscored"
    quality: float | None = None
    findings: tuple[Finding, ...] = ()
    measured: dict[str, float | int | str | bool | None] = Field(default_factory=dict)
    thresholds: str = ""
    unscored_why: str = ""
    judgement: Judgement | None = None
    calibrated: bool = False

    @property
    def vetoed(self) -> bool:
        return any(f.severity == "veto" for f in self.findings)


class Verdict(StrEnum):
    """What may happen with a take."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    NEEDS_PERSON = "needs_person"


class Delivery(Noun):
    """The finished video with its poster, contact sheet and final manifest."""

    job_id: str
    version: int
    video: StoredFile
    poster: StoredFile
    contact_sheet: StoredFile
    manifest: StoredFile
    quality: float | None
    technical: float
    semantic: float | None
    semantic_status: str
    cost: Micros
    labels: tuple[str, ...] = ()
    #: WebVTT, and SHA-256 of every file; None in deliveries from before there were any.
    captions: StoredFile | None = None
    checksums: StoredFile | None = None
    #: The video carries a signed C2PA manifest.
    signed: bool = False


# --- how a job stands ---------------------------------------------------------------------------------


class JobStatus(StrEnum):
    """Where a job is, as people say it. Derived from the ledger's rows (`ledger.job_status`), never stored."""

    CREATED = "created"
    ESTIMATED = "estimated"
    WAITING_APPROVAL = "waiting_approval"
    WAITING_BUDGET = "waiting_budget"
    RENDERING = "rendering"
    SCORING = "scoring"
    FINAL_APPROVAL = "final_approval"
    DELIVERED = "delivered"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    FAILED = "failed"
    EXPIRED = "expired"


#: Nothing happens until a person answers.
NEEDS_YOU = frozenset({JobStatus.WAITING_APPROVAL, JobStatus.FINAL_APPROVAL})
#: No word on the money was said: the manifest can be edited, and a run can still be missing.
BEFORE_MONEY = frozenset({JobStatus.CREATED, JobStatus.ESTIMATED, JobStatus.WAITING_APPROVAL})
#: A job stays there until somebody orders shots of it again.
REDOABLE = frozenset({JobStatus.DELIVERED, JobStatus.FAILED, JobStatus.REJECTED, JobStatus.EXPIRED})
#: What a job does not leave by itself.
OVER = REDOABLE | {JobStatus.CANCELLED}


class JobFilter(Noun):
    """Which jobs a list is about. What is not said keeps nothing out; `text` is looked for in ids and prompts."""

    statuses: tuple[JobStatus, ...] = ()
    project: str | None = None
    preset: str | None = None
    campaign: str | None = None
    created_by: str | None = None
    text: str = ""
    #: Projects whose jobs the reader may not see.
    hidden_projects: tuple[str, ...] = ()


#: The life of a purchase in one word; `ledger.states` says which follows which.
State = Literal[
    "held", "submitting", "submitted", "unknown",
    "succeeded", "failed", "cancelled", "rejected", "absent", "expired", "voided", "written_off",
]  # fmt: skip


class Waiting(Noun):
    """One job in the queue and what it waits for. It is served when `due_at` has come."""

    job_id: str
    version: int
    reason: Literal["campaign", "slots", "money"]
    message: str
    due_at: datetime
    since: datetime

    def __str__(self) -> str:
        return f"waits for {self.reason} and is picked up by itself from {self.due_at:%Y-%m-%d %H:%M} UTC: {self.message}"


class Erasure(Noun):
    """That a job's files and words were deleted: `files` and `size` (bytes) are what was there when it was recorded.

    The words are gone since `erased_at`, the last file since `finished_at`; None: files may be left. The money rows stay.
    """

    job_id: str
    erased_at: datetime
    erased_by: str
    why: str
    files: int
    size: int
    finished_at: datetime | None = None
