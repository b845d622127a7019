"""`aiprod estimate|enlist|result|cancel|reconcile`: what orders cost, what became of them, and what is left to finish."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from aiprod import ordering
from aiprod.catalog import catalog
from aiprod.cli.amounts import typed_usd
from aiprod.cli.person import add_by
from aiprod.errors import SpecError
from aiprod.ledger import jobs, purchases
from aiprod.ledger.engine import now as database_now
from aiprod.models import JobSpec, dollars, limit_micros
from aiprod.pipeline import Pipeline

if TYPE_CHECKING:
    #: What a subject adds its commands to.
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the commands to the parser."""
    estimate = commands.add_parser("estimate", help="price an order without entering it")
    estimate.add_argument("order", type=Path, help="a YAML or JSON file with the fields of the trigger form")
    estimate.set_defaults(run=_estimate)
    enlist = commands.add_parser("enlist", help="enter the jobs of a campaign, approved together; `dispatch` starts them")
    enlist.add_argument("orders", type=Path, help="a YAML or JSON file with a list of orders")
    enlist.add_argument("--campaign", required=True, help="the campaign's name; the same again adds to it")
    enlist.add_argument("--amount", required=True, help="what all its jobs may cost together, in dollars")
    add_by(enlist)
    enlist.set_defaults(run=_enlist)
    result = commands.add_parser("result", help="what became of a job, as JSON")
    result.add_argument("job_id")
    result.set_defaults(run=_result)
    cancel = commands.add_parser("cancel", help="hold and send nothing more for a job, and ask its vendors to stop")
    cancel.add_argument("job_id")
    add_by(cancel)
    cancel.set_defaults(run=_cancel)
    commands.add_parser("reconcile", help="finish what nobody watched, once").set_defaults(run=_reconcile)


def _estimate(args: argparse.Namespace) -> None:
    pipeline = Pipeline()
    raw = _read(args.order)
    if not isinstance(raw, dict):
        raise SpecError([f"{args.order}: must hold the fields of one order, such as `prompt: a lake`"])
    with pipeline.ledger.read() as conn:
        now = database_now(conn)
    spec = JobSpec.parse(raw)
    manifest, priced, backends = ordering.price(spec.job_id or "estimate", spec, pipeline.catalog, now=now)
    for line in priced.lines:
        print(
            f"shot {line.shot}  {line.backend:<10} {line.model:<22} {line.bought_seconds:g} s  {dollars(line.quote)}  {line.note}"
        )
    print(f"{len(manifest.shots)} shots, {manifest.seconds:g} s, tariff {priced.tariff}, backends {', '.join(backends)}")
    print(f"expected {dollars(priced.expected)}, worst case {dollars(priced.worst_case)}")


def _read(file: Path) -> Any:
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError([f"{file}: {error.strerror}"]) from None
    except (ValueError, yaml.YAMLError) as error:
        raise SpecError([f"{file}: {' '.join(str(error).split())}"]) from None
    except RecursionError:
        raise SpecError([f"{file}: is nested too deeply for an order"]) from None


def _enlist(args: argparse.Namespace) -> None:
    rows = _read(args.orders)
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise SpecError([f"{args.orders}: must be a list of orders, such as `- prompt: a lake`"])
    try:
        amount = limit_micros(typed_usd(args.amount))
    except SpecError as error:
        raise SpecError([f"--amount: {problem}" for problem in error.problems]) from None
    entered = Pipeline().enlist(rows, campaign=args.campaign, amount=amount, by=args.by)
    print(f"{len(entered)} jobs of campaign {args.campaign} wait for a run; the DAG `dispatch` starts it")


def _result(args: argparse.Namespace) -> None:
    print(json.dumps(Pipeline().result(args.job_id), indent=2))


def _cancel(args: argparse.Namespace) -> None:
    pipeline = Pipeline()
    cancelled = pipeline.cancel(args.job_id, by=args.by)
    with pipeline.ledger.read() as conn:
        bought = [p for version in jobs.versions(conn, args.job_id) for p in purchases.of_job(conn, args.job_id, version)]
    sent = [p for p in bought if p.state in ("submitting", "submitted", "unknown")]
    print(f"{args.job_id} is cancelled{'' if cancelled.fresh else ' since before'}: nothing more is held or sent for it")
    if cancelled.holds:
        print(f"{cancelled.holds} holds of {dollars(cancelled.money)} were not sent and are given back")
    for line in cancelled.renders:
        print(line)
    if sent:
        money = dollars(sum(p.hold for p in sent))
        print(f"not stopped: {len(sent)} renders already sent, up to {money}; they are still billed, watched and kept")


def _reconcile(args: argparse.Namespace) -> int:
    done = Pipeline(catalogue=catalog()).reconcile()
    for line in (*done.moved, *done.troubles):
        print(line)
    print(f"{done.looked_at} open purchases looked at, {len(done.moved)} moved, {len(done.troubles)} in trouble")
    return 1 if done.troubles else 0
