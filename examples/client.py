"""Order a video from Python: approve at most five dollars, follow it, and fetch the file.

AIPROD_API_URL=http://localhost:8080 AIPROD_API_TOKEN=… PYTHONPATH=include .venv/bin/python examples/client.py
"""

from __future__ import annotations

from pathlib import Path

from aiprod.client import Client
from aiprod.models import JobStatus

#: What this program may spend without asking anybody: micro-dollars, so $5.
AT_MOST = 5_000_000

ORDER = {
    "prompt": "A lighthouse at dawn, long swells roll in below; slow aerial approach from the sea.",
    "preset": "quick_social",
    "seconds": 5,
    "budget_usd": 5,
}


def main() -> None:
    with Client.from_environment() as aiprod:
        ordered = aiprod.create(ORDER).job
        print(f"{ordered.job_id}: expected {ordered.costs.expected}, worst case {ordered.costs.worst_case} micro-dollars")
        for job in aiprod.watch(ordered.job_id):
            print(f"{job.job_id}: {job.status}, charged {job.costs.charged}")
            if job.approval is not None and job.approval.amount > AT_MOST:
                aiprod.reject(job.job_id, version=job.approval.version, amount=job.approval.amount, why="too dear")
            elif job.approval is not None:
                # It names what was seen; had the job changed meanwhile, this would raise JobMoved and spend nothing.
                aiprod.approve(job.job_id, version=job.approval.version, amount=job.approval.amount)
            if job.status == JobStatus.DELIVERED and job.over:
                print(aiprod.download(job.job_id, Path(f"{job.job_id}.mp4")))


if __name__ == "__main__":
    main()
