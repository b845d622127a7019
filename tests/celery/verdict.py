"""What a trial showed, as it is told and kept."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.celery.cluster import heartbeat_timeout
from tests.safety.judge import Finding

__all__ = ["Killed", "Verdict"]


@dataclass(frozen=True)
class Killed:
    """One component that was killed. Times in seconds: since the first order, and since the kill."""

    what: str
    at: float
    restarted_after: float
    recovered_after: float
    how: str


@dataclass
class Verdict:
    """What a trial showed."""

    jobs: int
    seconds: float = 0.0
    delivered: int = 0
    runs: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    billed_micros: int = 0
    charged_micros: int = 0
    parked: int = 0
    parked_micros: int = 0
    tries: Counter[int] = field(default_factory=Counter)
    kills: list[Killed] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def count(self, kind: str) -> int:
        return sum(finding.kind == kind for finding in self.findings)

    def report(self) -> dict[str, Any]:
        """The figures, as they are kept."""
        return {
            "jobs": self.jobs,
            "delivered": self.delivered,
            "duplicates": self.count("duplicate"),
            "lost": self.count("lost"),
            "overspent": self.count("overspend"),
            "findings": [f"{f.kind}: {f.text}" for f in self.findings],
            "runs": dict(self.runs),
            "renders_accepted": self.accepted,
            "billed_micros": self.billed_micros,
            "charged_micros": self.charged_micros,
            "parked": self.parked,
            "parked_micros": self.parked_micros,
            "tries_of_tasks": {str(tries): count for tries, count in sorted(self.tries.items())},
            "seconds": round(self.seconds, 1),
            "task_instance_heartbeat_timeout": heartbeat_timeout(),
            "kills": [vars(one) for one in self.kills],
            "cores": os.cpu_count(),
            "load": [round(load, 1) for load in os.getloadavg()],
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
        }
