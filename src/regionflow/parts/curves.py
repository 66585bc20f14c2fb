"""The record of a training as curves: an SVG of two panels, losses and agreement."""

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT, LEFT, TOP = 460, 260, 56, 28
COLOURS = ("#1b6ca8", "#c1440e", "#2e8540", "#7b4fa3", "#8a6d00")

Line = tuple[str, Sequence[float]]


def curves(steps: Sequence[float], panels: Sequence[tuple[str, Sequence[Line]]]) -> str:
    """One panel per title and lines over the same steps; values that are not finite are gaps.

    A line of one value is drawn as a level over all steps.
    """
    width = (WIDTH + LEFT) * len(panels)
    body = [
        f'<g transform="translate({i * (WIDTH + LEFT) + LEFT},{TOP})">{_panel(title, steps, lines)}</g>'
        for i, (title, lines) in enumerate(panels)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{HEIGHT + TOP + 44}" '
        f'font-family="sans-serif" font-size="11">{"".join(body)}</svg>\n'
    )


def training_curves(record: Sequence[Mapping[str, float]], baseline: float) -> str:
    """Losses with the baseline of the mean target, and the agreement of every level, of a training's record."""
    if not record:
        return curves([], [("loss", [])])
    steps = [row["step"] for row in record]
    named = {name: [row[name] for row in record] for name in record[0]}
    losses = [("training", named["train_loss"]), ("held out", named["val_loss"]), ("mean target", [baseline])]
    levels = [(name.replace("_", " "), values) for name, values in named.items() if name.startswith("agreement")]
    return curves(steps, [("loss", losses), ("agreement of islands with masks", levels)])


def _panel(title: str, steps: Sequence[float], lines: Sequence[Line]) -> str:
    inner = WIDTH - 20
    values = [v for _, line in lines for v in line if abs(v) < float("inf")]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    high = high if high > low else low + 1.0
    last = max(steps, default=1) or 1

    def at(step: float, value: float) -> str:
        return f"{inner * step / last:.1f},{HEIGHT * (1 - (value - low) / (high - low)):.1f}"

    parts = [f'<text x="0" y="-12" font-size="13">{escape(title)}</text>']
    for tick in range(5):
        value = low + (high - low) * tick / 4
        y = HEIGHT * (1 - tick / 4)
        parts.append(f'<path d="M0 {y}H{inner}" stroke="#ddd"/>')
        parts.append(f'<text x="-6" y="{y + 4}" text-anchor="end">{value:.3g}</text>')
    parts.append(f'<text x="{inner}" y="{HEIGHT + 16}" text-anchor="end">step {last:g}</text>')
    for i, (name, line) in enumerate(lines):
        colour = COLOURS[i % len(COLOURS)]
        drawn = list(zip(steps, line, strict=True)) if len(line) > 1 else [(0, line[0]), (last, line[0])]
        points = " ".join(at(step, value) for step, value in drawn if abs(value) < float("inf"))
        dash = "" if len(line) > 1 else ' stroke-dasharray="5 4"'
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.6"{dash}/>')
        parts.append(f'<text x="{i * 110}" y="{HEIGHT + 32}" fill="{colour}">{escape(name)}</text>')
    return "".join(parts)
