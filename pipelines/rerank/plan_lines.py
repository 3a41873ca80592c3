"""How a plan writes time and cost."""

from __future__ import annotations

from transforms.base.cost import three_digits

HOSTED_PRICE = 0.008  # dollars for 1,000 documents: jina-reranker-v2 on its provider's page


def cost_line(cost: str, price_per_hour: float, pairs: float) -> str:
    """What a job costs, beside a hosted API."""
    return (
        f"cost      {cost} in the currency of --price_per_hour {price_per_hour:g}; a hosted API at ${HOSTED_PRICE} for "
        f"1,000 documents: ${three_digits(pairs / 1000 * HOSTED_PRICE)}"
    )


def duration(seconds: float) -> str:
    """Seconds in the two largest units that fit: "2 h 05 min"; from a hundred hours on in days."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds >= 100 * 3600:
        return f"{seconds / 86_400:,.1f} days"
    minutes, seconds = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {seconds:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"
