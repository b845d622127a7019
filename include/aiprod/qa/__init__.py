"""Takes, measured and judged: `measure` decodes once, `judge` says what the numbers mean."""

from aiprod.qa.apart import measure_apart
from aiprod.qa.judge import Expected, judge, report, verdict, with_opinion
from aiprod.qa.measure import Measurements, measure
from aiprod.qa.spans import Span

__all__ = ["Expected", "Measurements", "Span", "judge", "measure", "measure_apart", "report", "verdict", "with_opinion"]
