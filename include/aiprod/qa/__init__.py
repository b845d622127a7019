"""Takes, measured and judged: `measure` decodes once, `judge` says what the numbers mean."""

from aiprod.qa.apart import measure_apart, thumbnails_apart
from aiprod.qa.examination import examine_file
from aiprod.qa.judge import Expected, judge, report, unfit, verdict, with_opinion
from aiprod.qa.measure import Measurements, measure
from aiprod.qa.spans import Span

__all__ = [
    "Expected",
    "Measurements",
    "Span",
    "examine_file",
    "judge",
    "measure",
    "measure_apart",
    "report",
    "thumbnails_apart",
    "unfit",
    "verdict",
    "with_opinion",
]
