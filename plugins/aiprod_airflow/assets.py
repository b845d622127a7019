"""What other DAGs can be scheduled on: every delivered video is an event of one asset."""

from __future__ import annotations

from airflow.sdk import Asset, AssetAlias

__all__ = ["DELIVERED", "DELIVERIES"]

#: `schedule=[Asset("aiprod://deliveries")]`; the event's extra names job, version, files, quality and cost.
DELIVERIES = Asset("aiprod://deliveries")
#: By way of an alias a task that delivers many videos tells of each: an asset of its own has one event per task.
DELIVERED = AssetAlias("aiprod-delivered")
