"""An auditor that shares no code with the ledger: recomputes every balance from the rows and says what differs."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from sqlalchemy import Connection, text

_OPEN = {"held", "submitting", "submitted", "unknown"}


def audit(conn: Connection) -> list[str]:
    """Return what is wrong with the books; an empty list when they are in order."""
    rows = {
        table: [dict(row) for row in conn.execute(text(f"SELECT * FROM {table}")).mappings()]  # noqa: S608 - our own names
        for table in ("caps", "purchases", "legs", "postings")
    }
    return [*_caps(rows), *_journal(rows)]


def _caps(rows: dict[str, list[dict[str, Any]]]) -> list[str]:
    purchases = {p["purchase_id"]: p for p in rows["purchases"]}
    posted: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for posting in rows["postings"]:
        posted[posting["purchase_id"]][0] += posting["d_reserved"]
        posted[posting["purchase_id"]][1] += posting["d_settled"]
    on: dict[int, list[str]] = defaultdict(list)
    for leg in rows["legs"]:
        on[leg["cap_id"]].append(leg["purchase_id"])
    wrong = []
    for cap in rows["caps"]:
        name, ids = f"{cap['kind']} {cap['key']}", on[cap["cap_id"]]
        held = sum(purchases[i]["hold"] for i in ids if purchases[i]["state"] in _OPEN)
        charged = sum(purchases[i]["charged"] or 0 for i in ids)
        sums = [sum(posted[i][n] for i in ids) for n in (0, 1)]
        if not cap["reserved"] == held == sums[0]:
            wrong.append(f"{name}: reserved {cap['reserved']}, open holds {held}, postings {sums[0]}")
        if not cap["settled"] == charged == sums[1]:
            wrong.append(f"{name}: settled {cap['settled']}, charged {charged}, postings {sums[1]}")
        over = max(0, cap["reserved"] + cap["settled"] - cap["cap"])
        if cap["overrun"] != over:
            wrong.append(f"{name}: overrun {cap['overrun']}, should be {over}")
        if cap["reserved"] < 0:
            wrong.append(f"{name}: reserved is negative")
    return wrong


def _journal(rows: dict[str, list[dict[str, Any]]]) -> list[str]:
    kinds: dict[str, list[str]] = defaultdict(list)
    for posting in rows["postings"]:
        kinds[posting["purchase_id"]].append(posting["kind"])
    legs = {leg["purchase_id"] for leg in rows["legs"]}
    wrong = []
    for p in rows["purchases"]:
        key, has = p["purchase_id"], kinds[p["purchase_id"]]
        closed = p["state"] not in _OPEN
        if has.count("hold") != 1 or has.count("close") != int(closed):
            wrong.append(f"{key} is {p['state']} with postings {has}")
        if key not in legs:
            wrong.append(f"{key} has no leg")
        if closed and (p["closed_at"] is None or p["slot_until"] is not None or p["lease_until"] is not None):
            wrong.append(f"{key} is {p['state']} but still has a lease, a slot or no end")
    return wrong
