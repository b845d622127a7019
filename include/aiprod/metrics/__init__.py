"""What the ledger knows, as cumulative series that any number of sinks may read."""

from aiprod.metrics.collecting import CustomMetricsCollector, MetricPoint, MetricType
from aiprod.metrics.flushing import Flushed, flush, push
from aiprod.metrics.gauges import ask_for_credits
from aiprod.metrics.scraping import scrape

__all__ = ["CustomMetricsCollector", "Flushed", "MetricPoint", "MetricType", "ask_for_credits", "flush", "push", "scrape"]
