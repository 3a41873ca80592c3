"""What a machine's time costs."""

from __future__ import annotations

SECONDS_AN_HOUR = 3600


def cost_of(seconds: float, price_per_hour: float) -> float:
    """In the price's currency."""
    return price_per_hour * seconds / SECONDS_AN_HOUR
