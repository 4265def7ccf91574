"""Rows of the result, and the Markdown table that the README beside the benchmark carries."""

import statistics
from dataclasses import dataclass, field


@dataclass
class Row:
    """One line: what was measured, what is to be reached, and the cells beside it."""

    what: str
    reach: str
    gateway: str = "-"
    mcpo: str = "-"
    direct: str = "-"
    reached: bool | None = None
    values: dict = field(default_factory=dict)
    #: Other MCP proxies; a table has the column when a row of it has them.
    proxies: str = "-"

    def verdict(self):
        return {None: "-", True: "yes", False: "**no**"}[self.reached]


def number(value):
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def spread(series, unit=""):
    """Median, least and greatest; a dash where nothing was measured."""
    if not series:
        return "-"
    unit = f" {unit}" if unit else ""
    middle = number(statistics.median(series))
    if len(series) == 1:
        return f"{middle}{unit}"
    return f"{middle}{unit} ({number(min(series))} to {number(max(series))})"


def ratios(above, below):
    """The ratio within each round, so that a slow moment of the machine hits both sides."""
    return [one / other for one, other in zip(above, below) if other]


def markdown(rows):
    columns = [
        ("what", [row.what for row in rows]),
        ("reach", [row.reach for row in rows]),
        ("this gateway", [row.gateway for row in rows]),
        ("Python mcpo 0.0.20", [row.mcpo for row in rows]),
        ("MCP proxies", [row.proxies for row in rows]),
        ("direct", [row.direct for row in rows]),
        ("reached", [row.verdict() for row in rows]),
    ]
    shown = [(name, cells) for name, cells in columns if name != "MCP proxies" or any(c != "-" for c in cells)]
    lines = [[name for name, _ in shown], *zip(*(cells for _, cells in shown))]
    texts = ["| " + " | ".join(cells) + " |" for cells in lines]
    return "\n".join([texts[0], "|" + "---|" * len(shown), *texts[1:]])
