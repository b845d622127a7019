"""Grafana's dashboard has the same six panels, in a grid, each with its queries."""

from __future__ import annotations

from aiprod.catalog import Catalog
from aiprod.monitoring.grafana import dashboard
from aiprod.monitoring.panels import panels


def test_it_shows_the_same_panels_side_by_side(config: Catalog) -> None:
    shown = dashboard(config)["panels"]
    assert [panel["title"] for panel in shown] == [panel.title for panel in panels(config)]
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in shown}
    assert len(places) == 6 and all(x + 12 <= 24 for x, _ in places)
    for drawn, panel in zip(shown, panels(config), strict=True):
        assert len(drawn["targets"]) == len(panel.queries)
        assert len({target["refId"] for target in drawn["targets"]}) == len(drawn["targets"])


def test_a_line_is_drawn_where_somebody_is_told(config: Catalog) -> None:
    spend = dashboard(config)["panels"][2]
    steps = [step["value"] for step in spend["fieldConfig"]["defaults"]["thresholds"]["steps"]]
    assert steps == [None, 90.0, 100.0]


def test_nobody_has_to_find_the_data_source_in_the_file(config: Catalog) -> None:
    assert {panel["datasource"]["uid"] for panel in dashboard(config)["panels"]} == {"${source}"}
