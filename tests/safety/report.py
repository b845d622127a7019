"""What a campaign came to, as `report.json` for programs and `report.md` for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.kept import measured
from tests.safety.campaign import Campaign, Tally
from tests.safety.points import POINTS

__all__ = ["broken", "figures", "write"]

_PROMISES = (
    ("overspend_usd", "Dollars beyond any cap or hold"),
    ("duplicate_charges", "Requests accepted twice, or bought for a shot that had its take"),
    ("lost_paid_clips", "Paid clips that no row explains or whose file never came home"),
    ("unexplained_holds", "Money still held that nobody was told of, or balances that do not add up"),
    ("unforeseen", "Errors that no step foresees: a constraint that had to step in, a crash, a process that hung"),
)


def figures(campaign: Campaign, tally: Tally, mutants: Mapping[str, str], seconds: float) -> dict[str, Any]:
    """The report as one flat object."""
    return {
        "schedules": sum(tally.schedules.values()),
        "processes": tally.processes,
        "kills": sum(tally.kills.values()),
        "faults": sum(tally.faults.values()),
        "billable_accepts": tally.billable,
        "overspend_usd": tally.overspend / 1_000_000,
        "duplicate_charges": tally.count("duplicate"),
        "lost_paid_clips": tally.count("lost"),
        "unexplained_holds": tally.count("unexplained hold"),
        "parked": tally.parked,
        "mutants_killed": sum(1 for said in mutants.values() if said == "killed"),
        "mutants_total": len(mutants),
        "seconds": round(seconds, 1),
        "unforeseen": tally.count("unforeseen"),
        "accepts": tally.accepts,
        "takes": tally.takes,
        "seed": campaign.seed,
        "databases": dict(tally.schedules),
        "kills_by_point": dict(sorted(tally.kills.items())),
        "points_without_kill": [point for point in POINTS if point not in tally.kills],
        "faults_by_kind": dict(sorted(tally.faults.items())),
        "mutants": dict(mutants),
        "vendors": {name: _kind(part) for name, part in sorted(tally.by_vendors.items())},
        "findings": [{"kind": f.kind, "text": f.text, "repeat": repeat} for f, repeat in tally.findings],
    }


def _kind(tally: Tally) -> dict[str, Any]:
    """The figures of one kind of vendors."""
    return {
        "schedules": sum(tally.schedules.values()),
        "kills": sum(tally.kills.values()),
        "faults": sum(tally.faults.values()),
        "billable_accepts": tally.billable,
        "takes": tally.takes,
        "parked": tally.parked,
        "overspend_usd": tally.overspend / 1_000_000,
        "duplicate_charges": tally.count("duplicate"),
        "lost_paid_clips": tally.count("lost"),
        "unexplained_holds": tally.count("unexplained hold"),
        "unforeseen": tally.count("unforeseen"),
    }


def broken(said: Mapping[str, Any]) -> list[str]:
    """Which promises the figures break; none when the proof stands."""
    wrong = [f"{name} is {said[name]}, should be 0" for name, _ in _PROMISES if said[name]]
    if not said["schedules"] or not said["billable_accepts"]:
        wrong.append("nothing was bought, so nothing is shown")
    return wrong + [f"mutant {name!r}: {word}" for name, word in said["mutants"].items() if word != "killed"]


def write(said: Mapping[str, Any], folder: Path) -> None:
    """Write both files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps({"measured": measured(), **said}, indent=2) + "\n")
    (folder / "report.md").write_text(_page(said))


def _page(said: Mapping[str, Any]) -> str:
    wrong = broken(said)
    spread = ", ".join(f"{count:,} on {name}" for name, count in said["databases"].items())
    page = [
        "# Safety: what a campaign came to",
        "",
        "**Every promise held.**" if not wrong else "**A promise was broken.**",
        "",
        f"{said['schedules']:,} storms ({spread}), {said['processes']:,} processes, {said['kills']:,} of them killed, "
        f"{said['faults']:,} other faults, {said['accepts']:,} requests accepted by the vendors "
        f"({said['billable_accepts']:,} billable), "
        f"{said['takes']:,} takes brought home, {said['seconds']:g} s. Seed {said['seed']}.",
        "",
        "| promise | found |",
        "|---|---|",
        *(f"| {what} | {said[name]:g} |" for name, what in _PROMISES),
        f"| Requests lost or never ended: parked for a person, their money still held | {said['parked']} |",
        "",
        "The vendors' books, written by the vendor process alone, are the truth that the ledger is judged by.",
        "",
    ]
    if wrong:
        page += ["## Broken", "", *(f"- {line}" for line in wrong), ""]
        page += [f"- {f['kind']}: {f['text']} — repeat with `{f['repeat']}`" for f in said["findings"]] + [""]
    page += _by_vendors(said["vendors"])
    page += _table("Kills by place", "place", said["kills_by_point"])
    if said["points_without_kill"]:
        page += [f"Nobody died this time: {', '.join(said['points_without_kill'])}.", ""]
    page += _table("Other faults", "fault", said["faults_by_kind"])
    if said["mutants"]:
        page += _table(f"Planted bugs: {said['mutants_killed']} of {said['mutants_total']} noticed", "bug", said["mutants"])
    else:
        page += ["## Planted bugs", "", "Not run this time.", ""]
    return "\n".join(page)


def _by_vendors(kinds: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """One column for the adapters made for storms, one for those that are shipped."""
    columns = list(kinds.values())
    names = {"generic": "adapters made for storms", "real": "the shipped adapters"}
    rows = [f"| {name.replace('_', ' ')} | {' | '.join(f'{part[name]:g}' for part in columns)} |" for name in columns[0]]
    heads = " | ".join(names[kind] for kind in kinds)
    return ["## By vendors", "", f"| | {heads} |", "|---|" + "---|" * len(columns), *rows, ""] if len(columns) > 1 else []


def _table(title: str, head: str, rows: Mapping[str, Any]) -> list[str]:
    return [f"## {title}", "", f"| {head} | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items()), ""]
