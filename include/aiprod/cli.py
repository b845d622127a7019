"""`aiprod`: the library from a shell. Each command says what it did, or in one line why not."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from aiprod import ordering
from aiprod.catalog import catalog
from aiprod.errors import AiprodError, SpecError
from aiprod.ledger import DatabaseError, Ledger
from aiprod.ledger.engine import now as database_now
from aiprod.models import JobSpec, dollars
from aiprod.pipeline import Pipeline
from aiprod.settings import database_url

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code: 0 done, 1 refused, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="aiprod", description="Orders finished videos from paid AI backends.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")

    ledger = commands.add_parser("ledger", help="the money ledger's database")
    verbs = ledger.add_subparsers(dest="verb", required=True, metavar="verb")
    verbs.add_parser("upgrade", help="create or migrate the schema").set_defaults(run=_upgrade)
    verbs.add_parser("check", help="say whether the schema fits this release").set_defaults(run=_check)

    estimate = commands.add_parser("estimate", help="price an order without entering it")
    estimate.add_argument("order", type=Path, help="a YAML or JSON file with the fields of the trigger form")
    estimate.set_defaults(run=_estimate)

    result = commands.add_parser("result", help="what became of a job, as JSON")
    result.add_argument("job_id")
    result.set_defaults(run=_result)

    reconcile = commands.add_parser("reconcile", help="finish what nobody watched, once")
    reconcile.set_defaults(run=_reconcile)

    args = parser.parse_args(argv)
    run: Callable[[argparse.Namespace], None] = args.run
    try:
        run(args)
    except AiprodError as error:
        for problem in error.problems if isinstance(error, SpecError) else (str(error),):
            print(f"aiprod: {' '.join(problem.split())}", file=sys.stderr)
        return 1
    except DatabaseError as error:
        why = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        print(f"aiprod: the ledger (AIPROD_DATABASE_URL) cannot be used: {why}", file=sys.stderr)
        return 1
    return 0


def _upgrade(args: argparse.Namespace) -> None:
    ledger = Ledger(database_url())
    print(f"ledger {ledger.where} is at revision {ledger.upgrade()}")


def _check(args: argparse.Namespace) -> None:
    ledger = Ledger(database_url())
    ledger.check()
    print(f"ledger {ledger.where} fits this release")


def _estimate(args: argparse.Namespace) -> None:
    pipeline = Pipeline()
    try:
        raw = yaml.safe_load(args.order.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError([f"{args.order}: {error.strerror}"]) from None
    except (ValueError, yaml.YAMLError) as error:
        raise SpecError([f"{args.order}: {' '.join(str(error).split())}"]) from None
    except RecursionError:
        raise SpecError([f"{args.order}: is nested too deeply for an order"]) from None
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


def _result(args: argparse.Namespace) -> None:
    print(json.dumps(Pipeline().result(args.job_id), indent=2))


def _reconcile(args: argparse.Namespace) -> None:
    done = Pipeline(catalogue=catalog()).reconcile()
    for line in (*done.moved, *done.troubles):
        print(line)
    print(f"{done.looked_at} open purchases looked at, {len(done.moved)} moved, {len(done.troubles)} in trouble")


if __name__ == "__main__":
    sys.exit(main())
