"""Campaigns from a source: read the rows, plan what costs nothing, enter what was approved, carry it through, report."""
