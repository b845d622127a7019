"""LiteLLM's router before the same vendor. Runs in LiteLLM's own environment; prints one line of JSON.

litellm_router.py lost default|fallbacks|careful     one clip whose first answer is lost
litellm_router.py budget CALLERS                     a provider budget of two clips, each caller asks three times
litellm_router.py budget 1                           the same, one after the other
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

# Prices from the package, not from the network.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
from litellm import Router

sys.path.insert(0, str(Path(__file__).parent))
from vendor import Vendor

litellm.suppress_debug_info = True
litellm.telemetry = False
#: A four-second clip of sora-2 at its price in LiteLLM's own table, $0.10 a second.
CLIP_USD = 0.40
CAP_USD = 1.00
TIMES_EACH = 3
#: Fallbacks and two retries are what the router's documentation shows; `careful` turns every retry off.
SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "fallbacks": {"fallbacks": [{"video": ["elsewhere"]}], "num_retries": 2},
    "careful": {"num_retries": 0, "fallbacks": []},
}


def _router(vendor: Vendor, elsewhere: Vendor, **settings: Any) -> Router:
    models = [_model("video", vendor), _model("elsewhere", elsewhere)]
    return Router(model_list=models, **settings)


def _model(name: str, vendor: Vendor) -> dict[str, Any]:
    return {"model_name": name, "litellm_params": {"model": "openai/sora-2", "api_base": vendor.url, "api_key": "made-up"}}


async def lost(setting: str) -> dict[str, Any]:
    """What both vendors book when the first answer is lost."""
    with Vendor(lose=1) as vendor, Vendor() as elsewhere:
        router = _router(vendor, elsewhere, **SETTINGS[setting])
        got, said = 0, ""
        try:
            await router.avideo_generation(model="video", prompt="a lake", seconds="4")
            got = 1
        except Exception as error:  # noqa: BLE001 - whatever it raises, the bill is what counts
            said = f"{type(error).__name__}: {error}"[:200]
        sent = len(vendor.accepted) + len(elsewhere.accepted)
        return {"sent": sent, "delivered": got, "lost": sent - got, "said": said}


async def budget(callers: int) -> dict[str, Any]:
    """What is bought under a provider budget by callers who all want three clips."""
    with Vendor(patience=0.2) as vendor, Vendor() as elsewhere:
        limit = {"openai": {"budget_limit": CAP_USD, "time_period": "1d"}}
        router = _router(vendor, elsewhere, provider_budget_config=limit, num_retries=0)
        refused: list[str] = []

        async def caller() -> None:
            for _ in range(TIMES_EACH * 8 // callers):
                try:
                    await router.avideo_generation(model="video", prompt="a lake", seconds="4")
                except Exception as error:  # noqa: BLE001
                    refused.append(f"{type(error).__name__}: {error}"[:200])
                # The figure is written by a task of its own, after the answer.
                await asyncio.sleep(0.3)

        await asyncio.gather(*(caller() for _ in range(callers)))
        spent = CLIP_USD * (len(vendor.accepted) + len(elsewhere.accepted))
        return {
            "asked": TIMES_EACH * 8,
            "bought": len(vendor.accepted) + len(elsewhere.accepted),
            "refused": len(refused),
            "said": refused[0] if refused else "",
            "spent_usd": round(spent, 2),
            "overspent_usd": round(max(0.0, spent - CAP_USD), 2),
        }


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["lost", setting] if setting in SETTINGS:
            told = asyncio.run(lost(setting))
        case ["budget", callers]:
            told = asyncio.run(budget(int(callers)))
        case _:
            raise SystemExit(__doc__)
    print(json.dumps(told))
