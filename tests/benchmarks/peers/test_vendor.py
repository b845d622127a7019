"""The vendor before which peers are put books what it accepts, and loses the answers that it was told to lose."""

from __future__ import annotations

import httpx
import pytest

from benchmarks.peers.vendor import Vendor


def test_a_lost_answer_is_booked_all_the_same_and_the_next_is_good() -> None:
    with Vendor(lose=1) as vendor, httpx.Client(base_url=vendor.url, trust_env=False) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            client.post("/videos", json={"prompt": "a lake"})
        made = client.post("/videos", json={"prompt": "a lake"}).json()
        assert vendor.accepted == ["video_1", "video_2"]
        assert made["id"] == "video_2"
        assert client.get(f"/videos/{made['id']}").json()["status"] == "completed"
