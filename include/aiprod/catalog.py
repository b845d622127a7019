"""What the YAML files in `include/config/` say, read once into one frozen object.

An unknown key, a wrong type or a missing file is a `ConfigError` that names file and line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from zoneinfo import ZoneInfo

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from aiprod import settings
from aiprod.channels import Notifications
from aiprod.errors import ConfigError, NotAMember
from aiprod.measures import AlertFile, AlertRule, Metric, MetricFile, Objective, problems
from aiprod.models import Allowance, AspectRatio, Micros, Noun, Resolution, Slug, micros

__all__ = [
    "Access",
    "BackendConfig",
    "BackendEntry",
    "Budgets",
    "Calibration",
    "Catalog",
    "DeliveryRules",
    "JudgeEntry",
    "JudgePrice",
    "Metric",
    "Model",
    "Preset",
    "Price",
    "Project",
    "Quality",
    "Retention",
    "ScheduledCampaign",
    "Semantic",
    "Tariff",
    "catalog",
    "load",
]

_T = TypeVar("_T", bound=Noun)
_Unit = Annotated[float, Field(ge=0, le=1)]


class Preset(Noun):
    """Named defaults and rules for a job."""

    title: str
    quality_floor: _Unit
    max_seconds: Annotated[float, Field(gt=0)]
    resolution: Resolution
    attempts_per_shot: Annotated[int, Field(ge=1, le=3)]
    budget_usd: Annotated[Decimal, Field(ge=0)]
    #: The largest envelope that passes without a person; None: a person is always asked.
    auto_approve_usd: Annotated[Decimal, Field(ge=0)] | None
    approval_hours: Annotated[float, Field(gt=0)]
    second_review: bool
    unscored: Literal["deliver", "ask"]
    may_degrade: bool
    #: What every video of this preset may have on purpose; an order may add to it.
    allows: tuple[Allowance, ...] = ()
    #: Whoever ordered a job, or wrote its newest version, may not approve its money or its video.
    approver_differs: bool = False


class Model(Noun):
    """What one model of a backend can make. `seconds` is a list of legal lengths or a [least, most] range."""

    name: str
    seconds: tuple[float, ...] | None = None
    seconds_range: tuple[float, float] | None = None
    aspect_ratios: tuple[AspectRatio, ...]
    resolutions: tuple[Resolution, ...]
    audio: bool
    image: bool
    fps: int = 24
    max_prompt: int = 2_000

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.seconds is None) == (self.seconds_range is None):
            raise ValueError("give either seconds (a list) or seconds_range (least, most)")
        return self

    @property
    def longest(self) -> float:
        return max(self.seconds) if self.seconds else (self.seconds_range or (0, 0))[1]

    def snap(self, asked: float) -> float | None:
        """Return the shortest legal length that holds `asked` seconds, or None."""
        if self.seconds:
            return min((s for s in self.seconds if s >= asked - 1e-9), default=None)
        least, most = self.seconds_range or (0, 0)
        return None if asked > most + 1e-9 else max(asked, least)


class BackendEntry(Noun):
    """One backend: where its adapter is, what it can make and what we expect of it."""

    title: str
    #: `module:Class`; imported when first used. None: the catalogue knows it, nobody wrote the adapter yet.
    adapter: str | None
    #: Environment names or Airflow connection without which it is not configured; empty for none.
    needs: tuple[str, ...] = ()
    embedded: bool = False
    #: Expected quality 0..1 until enough takes were scored; None: no prior, exempt from the floor.
    quality_prior: _Unit | None
    expected_seconds: Annotated[float, Field(gt=0)]
    slots: Annotated[int, Field(ge=1)]
    submit_timeout_seconds: Annotated[float, Field(gt=0)]
    #: After this long a render is certainly over at the vendor.
    max_run_seconds: Annotated[float, Field(gt=0)]
    #: After this long its shot may go on elsewhere, while the render stays watched; None: only after its longest run.
    deadline_seconds: Annotated[float, Field(gt=0)] | None = None
    poll_seconds: Annotated[float, Field(gt=0)] = 15.0
    models: Annotated[tuple[Model, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _late_before_over(self) -> Self:
        if self.deadline_seconds is not None and self.deadline_seconds > self.max_run_seconds:
            raise ValueError("deadline_seconds: must not be longer than max_run_seconds")
        return self

    @property
    def deadline(self) -> float:
        """Seconds after which a shot may go on elsewhere."""
        return self.deadline_seconds or self.max_run_seconds

    @property
    def longest_clip(self) -> float:
        return max(model.longest for model in self.models)


class BackendFile(Noun):
    fallback_order: tuple[str, ...]
    strikes: Annotated[int, Field(ge=1)]
    cooldown_seconds: Annotated[float, Field(gt=0)]
    probe_seconds: Annotated[float, Field(gt=0)]
    backends: dict[str, BackendEntry]

    @model_validator(mode="after")
    def _known(self) -> Self:
        unknown = [name for name in self.fallback_order if name not in self.backends]
        if unknown:
            raise ValueError(f"fallback_order names unknown backends: {', '.join(unknown)}")
        return self


class JudgeEntry(Noun):
    """One judge of takes: where its adapter is, what it looks at, and how long it may take. Paid like a backend."""

    title: str
    #: `module:Class`; imported when first used.
    adapter: str
    #: Names of the environment (or fields of an Airflow connection), any one of which configures it.
    needs: Annotated[tuple[str, ...], Field(min_length=1)]
    model: str
    #: Backends of the same vendor: a report says so, for models like their own kind.
    kin: tuple[str, ...] = ()
    slots: Annotated[int, Field(ge=1)]
    submit_timeout_seconds: Annotated[float, Field(gt=0)]
    max_run_seconds: Annotated[float, Field(gt=0)]
    #: Frames a second that it looks at, and the most tokens that one frame, and one second besides, can come to.
    fps: Annotated[float, Field(ge=1, le=24)]
    tokens_per_frame: Annotated[int, Field(ge=1)]
    tokens_per_second: Annotated[int, Field(ge=0)]
    output_tokens: Annotated[int, Field(ge=256)]


class JudgeFile(Noun):
    judges: dict[str, JudgeEntry]


class JudgePrice(Noun):
    """What a judge's model costs from a day on, per million tokens. Rows are appended, never edited."""

    judge: str
    model: str
    usd_per_million_input: Annotated[Decimal, Field(ge=0)]
    usd_per_million_output: Annotated[Decimal, Field(ge=0)]
    valid_from: date
    source: str
    confidence: Literal["A", "B", "C"]


class Price(Noun):
    """What one model costs from a day on. Rows are appended, never edited."""

    backend: str
    model: str
    usd_per_second: Annotated[Decimal, Field(ge=0)]
    #: Whose seconds: of the video that is made, or of the machine that makes it.
    meter: Literal["output_seconds", "run_seconds"] = "output_seconds"
    #: With `run_seconds`: the longest such run, which is what is quoted and held.
    longest_run_seconds: Annotated[Decimal, Field(gt=0)] | None = None
    audio: bool | None = None
    resolutions: tuple[Resolution, ...] | None = None
    valid_from: date
    source: str
    confidence: Literal["A", "B", "C"]

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if (self.meter == "run_seconds") != (self.longest_run_seconds is not None):
            raise ValueError("a price per run_seconds, and no other, says longest_run_seconds")
        return self


class Tariff(Noun):
    """A dated price book. `bills` says which seconds are paid: those bought (snapped) or those asked."""

    name: str
    title: str
    bills: Literal["bought_seconds", "asked_seconds"]
    credit_usd: Annotated[Decimal, Field(gt=0)]
    prices: Annotated[tuple[Price, ...], Field(min_length=1)]
    #: A judge that is not here is not asked: what cannot be priced is not bought.
    judging: tuple[JudgePrice, ...] = ()


class Budgets(Noun):
    """Caps nobody's job can raise. Amounts in dollars; None: no such cap."""

    zone: str
    day_usd: Annotated[Decimal, Field(ge=0)]
    day_warn_usd: Annotated[Decimal, Field(ge=0)]
    backend_day_usd: dict[str, Annotated[Decimal, Field(ge=0)]] = Field(default_factory=dict)
    project_usd: dict[str, Annotated[Decimal, Field(ge=0)]] = Field(default_factory=dict)
    hold_hours: Annotated[float, Field(gt=0)]

    @field_validator("zone")
    @classmethod
    def _zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except Exception as error:
            raise ValueError(f"{name!r} is not an IANA time zone") from error
        return name


class Calibration(Noun):
    """What people said of takes: points of (score, part of them accepted), both rising, from so many `labels`."""

    source: str
    labels: Annotated[int, Field(ge=100)]
    points: Annotated[tuple[tuple[_Unit, _Unit], ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _rises(self) -> Self:
        scores, parts = zip(*self.points, strict=True)
        if list(scores) != sorted(set(scores)) or list(parts) != sorted(parts):
            raise ValueError("points: scores must rise, and what they mean must not fall")
        return self


class Semantic(Noun):
    """Who looks at takes, how often, and how what they say becomes a score. The rubric itself is `qa.rubric`."""

    #: None: nobody, every take is unscored.
    judge: str | None
    samples: Annotated[int, Field(ge=1, le=5)]
    weights: dict[Literal["elements", "adherence", "motion", "artefacts", "consistency"], _Unit]
    #: quality = technical ** technical_share * semantic ** (1 - technical_share)
    technical_share: _Unit
    #: Less than this part of the weights scored, or samples this many rubric points apart: a person looks.
    least_coverage: _Unit
    wide_spread: Annotated[int, Field(ge=1, le=4)]
    calibration: Calibration | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if abs(sum(self.weights.values()) - 1) > 1e-6:
            raise ValueError("weights: must sum up to 1")
        return self


class Quality(Noun):
    """The technical check: what each finding weighs, and from where on it is one. Lengths in seconds, levels in dBFS.

    Each finding multiplies the technical score by the weight of its severity. `presets` say what differs for a preset,
    under the same names; `of` applies it.
    """

    version: str
    major_weight: _Unit
    minor_weight: _Unit
    technical_floor: _Unit
    severities: dict[str, Literal["veto", "major", "minor", "info"]]
    duration_tolerance: _Unit
    duration_tolerance_seconds: float
    fps_tolerance: _Unit
    aspect_tolerance: _Unit
    black_seconds: float
    freeze_seconds: float
    static_ratio: _Unit
    #: A clip whose frames never get this far from the first one is a still: mean and peak in codes; cells, under grain.
    still_departure: tuple[float, float]
    still_drift: float
    #: The part of the frames that repeat the one before, and how many lone repeats make a stutter.
    repeats_ratio: _Unit
    stutter_repeats: Annotated[int, Field(ge=1)]
    stutter_ratio: _Unit
    bar_part: _Unit
    torn_part: _Unit
    flicker_codes: float
    flashes_per_second: float
    sharpness: float
    blocks: float
    noise_codes: float
    comb: float
    colour_codes: float
    dark_codes: float
    bright_codes: float
    contrast_codes: float
    silence_dbfs: float
    silence_ratio: _Unit
    gap_seconds: float
    clipped_ratio: _Unit
    audio_tolerance_seconds: float
    loud_lufs: float
    semantic: Semantic
    presets: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _presets_are_valid(self) -> Self:
        for name in self.presets:
            self.of(name)
        return self

    def of(self, preset: str) -> Quality:
        """Return what holds for a preset; one that is not named here has no rules of its own."""
        change = self.presets.get(preset, {})
        unknown = set(change.get("severities", {})) - set(self.severities)
        if unknown:
            raise ValueError(f"{preset}: no such finding: {', '.join(sorted(unknown))}")
        own = self.model_dump(exclude={"presets"})
        return Quality.model_validate({**own, **change, "severities": {**self.severities, **change.get("severities", {})}})


class DeliveryRules(Noun):
    """What a delivered video is like: how its files are called, how it is encoded, and what goes with it."""

    name: str
    container: Literal["mp4", "webm"]
    fade_seconds: Annotated[float, Field(ge=0, le=3)]
    loudness_lufs: Annotated[float, Field(ge=-40, le=-5)] | None
    captions: bool
    provenance: Literal["never", "if_configured", "required"]
    presets: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _can_be_kept(self) -> Self:
        try:
            stem = self.stem(project="a", job_id="b", version=1)
        except (KeyError, ValueError, IndexError, AttributeError):
            raise ValueError("name: only {project}, {job} and {n} may stand in it") from None
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", stem):
            raise ValueError("name: letters, digits, dots, - and _ only")
        if self.provenance == "required" and self.container != "mp4":
            raise ValueError("provenance: only an mp4 can carry it")
        for name in self.presets:
            self.of(name)
        return self

    def stem(self, *, project: str, job_id: str, version: int) -> str:
        """What the files of a delivery are called, without their endings."""
        return self.name.format(project=project, job=job_id, n=version)

    def of(self, preset: str) -> DeliveryRules:
        """Return what holds for a preset; one that is not named here has no rules of its own."""
        return DeliveryRules.model_validate({**self.model_dump(exclude={"presets"}), **self.presets.get(preset, {})})


class Retention(Noun):
    """For how many days after its end a job keeps its files and words; None: for ever. `projects` have their own."""

    days: Annotated[int, Field(ge=1)] | None
    projects: dict[str, Annotated[int, Field(ge=1)] | None] = Field(default_factory=dict)

    @property
    def deletes(self) -> bool:
        """Whether any job's time is ever over."""
        return any(days is not None for days in (self.days, *self.projects.values()))


class ScheduledCampaign(Noun):
    """A campaign that is read from its source on a schedule. The same rows again buy nothing."""

    source: str
    #: Five fields of cron, or a word such as `@daily`; by the clock of the budgets' zone.
    schedule: Annotated[str, Field(pattern=r"^(@(hourly|daily|weekly|monthly)|[0-9*/,\-A-Za-z]+( [0-9*/,\-A-Za-z]+){4})$")]
    #: What it may cost in all; None: whatever its rows may cost. A person approves it either way.
    budget_usd: Annotated[Decimal, Field(ge=0)] | None = None
    naming: str | None = None
    in_flight: Annotated[int, Field(ge=1)] | None = None
    defaults: dict[str, Any] = Field(default_factory=dict)


class CampaignFile(Noun):
    campaigns: dict[Slug, ScheduledCampaign]


class PresetFile(Noun):
    presets: dict[str, Preset]


class Project(Noun):
    """A project that is not everybody's: only its members, by the name they log in with, see or order its jobs."""

    members: tuple[str, ...]


class Access(Noun):
    """Who sees what, and how many new jobs one person may order in a minute over HTTP. A project not named is everybody's."""

    orders_per_minute: Annotated[int, Field(ge=1)] = 60
    projects: dict[Slug, Project] = Field(default_factory=dict)

    def hidden_from(self, name: str) -> tuple[str, ...]:
        """Return the projects that a person does not see."""
        return tuple(sorted(project for project, listed in self.projects.items() if name not in listed.members))

    def require_member(self, project: str, name: str) -> None:
        """Raise `NotAMember` where a project is hidden from a person."""
        if project in self.hidden_from(name):
            raise NotAMember(f"project: {name} is not a member of {project}")


class Catalog(Noun):
    """Everything configured, frozen."""

    presets: dict[str, Preset]
    backends: dict[str, BackendEntry]
    fallback_order: tuple[str, ...]
    strikes: int
    cooldown_seconds: float
    probe_seconds: float
    tariffs: dict[str, Tariff]
    budgets: Budgets
    quality: Quality
    delivery: DeliveryRules
    metrics: dict[str, Metric]
    notifications: Notifications
    retention: Retention
    alerts: dict[str, AlertRule]
    objectives: dict[str, Objective]
    campaigns: dict[str, ScheduledCampaign] = Field(default_factory=dict)
    judges: dict[str, JudgeEntry] = Field(default_factory=dict)
    tariff: str = "list"
    access: Access = Field(default_factory=Access)

    @property
    def judge(self) -> JudgeEntry | None:
        """The judge in force, be it configured or not."""
        return None if self.quality.semantic.judge is None else self.judges[self.quality.semantic.judge]

    def payee(self, name: str) -> BackendEntry | JudgeEntry:
        """Whoever a purchase pays: a backend, or a judge."""
        return self.judges[name] if name in self.judges else self.backends[name]

    @property
    def prices(self) -> Tariff:
        """The tariff in force."""
        return self.tariffs[self.tariff]

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.budgets.zone)

    @property
    def vendors(self) -> tuple[str, ...]:
        """Backends that cost money, in fallback order, then any other by name."""
        rest = sorted(name for name, entry in self.backends.items() if not entry.embedded and name not in self.fallback_order)
        return (*(n for n in self.fallback_order if not self.backends[n].embedded), *rest)

    @property
    def backend_order(self) -> tuple[str, ...]:
        """Every backend: vendors first, embedded ones last."""
        return (*self.vendors, *sorted(name for name, entry in self.backends.items() if entry.embedded))


class BackendConfig(Noun):
    """The catalogue's face for the backends: what 5 s cost, what quality to expect, who is next."""

    COSTS: Mapping[str, Micros]
    QUALITY: Mapping[str, float | None]
    FALLBACK_ORDER: tuple[str, ...]

    @classmethod
    def of(cls, catalog: Catalog) -> BackendConfig:
        """Read the face off a catalogue. COSTS: each backend's cheapest priced model, 5 s, in micro-dollars."""
        costs = {
            name: min((micros(p.usd_per_second * 5) for p in catalog.prices.prices if p.backend == name), default=0)
            for name in catalog.backends
        }
        quality = {name: entry.quality_prior for name, entry in catalog.backends.items()}
        return cls(COSTS=costs, QUALITY=quality, FALLBACK_ORDER=catalog.fallback_order)


def load(folder: Path) -> Catalog:
    """Read a catalogue from its folder. Raises `ConfigError` with file and line."""
    presets = _read(folder / "presets.yaml", PresetFile)
    backends = _read(folder / "backends.yaml", BackendFile)
    tariffs = [_read(path, Tariff) for path in sorted((folder / "prices").glob("*.yaml"))]
    judges = _read(folder / "judges.yaml", JudgeFile).judges
    quality = _read(folder / "quality.yaml", Quality)
    if quality.semantic.judge not in (None, *judges):
        raise ConfigError(f"{folder / 'quality.yaml'}: semantic.judge names an unknown judge: {quality.semantic.judge}")
    if set(judges) & set(backends.backends):
        raise ConfigError(f"{folder / 'judges.yaml'}: a judge and a backend have the same name")
    for tariff in tariffs:
        strangers = {p.backend for p in tariff.prices} - set(backends.backends) | {p.judge for p in tariff.judging} - set(judges)
        if strangers:
            raise ConfigError(
                f"{folder / 'prices'}/{tariff.name}.yaml: prices for unknown backends: {', '.join(sorted(strangers))}"
            )
    budgets = _read(folder / "budgets.yaml", Budgets)
    strangers = set(budgets.backend_day_usd) - set(backends.backends) - set(judges)
    if strangers:
        # A cap on a name nobody has would cap nothing.
        raise ConfigError(f"{folder / 'budgets.yaml'}: backend_day_usd names unknown backends: {', '.join(sorted(strangers))}")
    metrics, alerts = _measured(folder, budgets)
    chosen = settings.tariff()
    if chosen not in {t.name for t in tariffs}:
        raise ConfigError(f"AIPROD_TARIFF={chosen!r}: no such tariff; known: {', '.join(t.name for t in tariffs)}")
    return Catalog(
        presets=presets.presets,
        backends=backends.backends,
        fallback_order=backends.fallback_order,
        strikes=backends.strikes,
        cooldown_seconds=backends.cooldown_seconds,
        probe_seconds=backends.probe_seconds,
        tariffs={t.name: t for t in tariffs},
        budgets=budgets,
        quality=quality,
        delivery=_read(folder / "delivery.yaml", DeliveryRules),
        judges=judges,
        metrics=metrics,
        notifications=_read(folder / "notifications.yaml", Notifications),
        retention=_read(folder / "retention.yaml", Retention),
        alerts=alerts.alerts,
        objectives=alerts.objectives,
        campaigns=_read(folder / "campaigns.yaml", CampaignFile).campaigns,
        tariff=chosen,
        access=_read(folder / "projects.yaml", Access),
    )


def _measured(folder: Path, budgets: Budgets) -> tuple[dict[str, Metric], AlertFile]:
    """Read what is measured and when somebody is told.

    A folder of one's own declares at least what this release reports: a figure must never be what stops a purchase from
    being written down.
    """
    metrics = _read(folder / "metrics.yaml", MetricFile).metrics
    ours = settings.shipped_config_dir()
    if folder.resolve() != ours.resolve():
        for name, metric in _read(ours / "metrics.yaml", MetricFile).metrics.items():
            own = metrics.get(name)
            if own is None or (own.kind, set(own.labels)) != (metric.kind, set(metric.labels)):
                raise ConfigError(f"{folder / 'metrics.yaml'}: {name} is missing, or not what this release reports under it")
    alerts = _read(folder / "alerts.yaml", AlertFile)
    wrong = next(problems(alerts, metrics, budgets.model_dump()), None)
    if wrong is not None:
        raise ConfigError(f"{folder / 'alerts.yaml'}: {wrong}")
    return metrics, alerts


@cache
def _loaded(folder: Path, tariff: str) -> Catalog:
    return load(folder)


def catalog() -> Catalog:
    """The configured catalogue, read once per process."""
    return _loaded(settings.config_dir(), settings.tariff())


class _UniqueKeys(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML as written: a key given twice is a mistake, not a choice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is given twice", key.start_mark)
            seen.add(key.value)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def _read(path: Path, kind: type[_T]) -> _T:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        return kind.model_validate(yaml.load(text, Loader=_UniqueKeys))  # noqa: S506 - a SafeLoader underneath
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}:{line}: {error.problem}") from None
    except ValidationError as error:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        lines = []
        for problem in error.errors():
            where = ".".join(str(part) for part in problem["loc"])
            said = "unknown key" if problem["type"] == "extra_forbidden" else problem["msg"].removeprefix("Value error, ")
            lines.append(f"{path}:{_line(tree, problem['loc'])}: {where}: {said}" if where else f"{path}:1: {said}")
        raise ConfigError("\n".join(lines)) from None


def _line(node: yaml.Node | None, loc: tuple[int | str, ...]) -> int:
    """The line (from 1) of the deepest part of `loc` that is in the file."""
    line = node.start_mark.line + 1 if node is not None else 1
    for part in loc:
        found = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    line, found = key.start_mark.line + 1, value
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = node.value[part]
            line = found.start_mark.line + 1
        if found is None:
            break
        node = found
    return line
