"""What a machine's time costs, and how such a figure is written."""

from __future__ import annotations

SECONDS_AN_HOUR = 3600


def cost_of(seconds: float, price_per_hour: float) -> float:
    """In the price's currency."""
    return price_per_hour * seconds / SECONDS_AN_HOUR


def three_digits(value: float) -> str:
    """A number from 0 with three significant digits: "0.00123", "28.8", "1,230"."""
    rounded = float(f"{value:.2e}")
    exponent = int(f"{value:.2e}".partition("e")[2])
    return f"{rounded:,.{max(0, 2 - exponent)}f}"
