"""Draws what was measured as bars, as SVG. The same numbers give the same bytes."""

import io
import re
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from bench import ways
from bench.pages import digest
from bench.tables import AnyTable, Comparison, Figures

# A ground of its own, so that a picture reads the same on a light page and on a dark one.
GROUND, INK, FAINT = "#f6f8fa", "#1f2328", "#57606a"
OURS, PEER, FLOOR = "#0969da", "#8c959f", "#bf8700"
_SETTINGS: Any = {
    # Or the ids within the picture would be random.
    "svg.hashsalt": "pgclone",
    # Letters as shapes: the fonts of readers have other widths.
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "xtick.color": FAINT,
    "ytick.color": INK,
    "path.simplify": False,
}
_WIDTH_INCHES = 9.2
_BAR_INCHES = 0.34
_PANELS_IN_A_ROW = 5


def draw(table: AnyTable) -> str:
    """Return the picture of a table."""
    with mpl.rc_context(_SETTINGS):
        figure = _bars(table) if isinstance(table, Comparison) else _panels(table)
        figure.suptitle(table.title, x=0.02, ha="left", fontsize=11, fontweight="bold")
        written = io.StringIO()
        metadata = {"Date": None, "Title": table.title, "Description": digest(table)}
        figure.savefig(written, format="svg", facecolor=GROUND, metadata=metadata)
    # matplotlib ends lines by spaces, which git warns of.
    return re.sub(r"[ \t]+$", "", written.getvalue(), flags=re.MULTILINE)


def _bars(table: Comparison) -> Figure:
    """Draw the median of each way as a bar, and each of its rounds as a dot."""
    medians = table.medians
    figure = _new_figure(1.1 + _BAR_INCHES * len(medians))
    axes = figure.subplots()
    seconds = [run.seconds for run in medians.values()]
    ends = [max(run.seconds for run in runs) for runs in table.ways.values()]
    _draw_bars(axes, list(medians), seconds, [f"{value:.1f} s" for value in seconds], ends=ends)
    if table.rounds > 1:
        for place, runs in enumerate(table.ways.values()):
            axes.plot(
                [run.seconds for run in runs],
                [place] * len(runs),
                linestyle="",
                marker="o",
                markersize=3,
                color=INK,
            )
    axes.set_xlabel("seconds")
    return figure


def _panels(table: Figures) -> Figure:
    """Draw each column for itself, since columns have units of their own."""
    heads = table.heads[1:]
    across = min(len(heads), _PANELS_IN_A_ROW)
    down = -(-len(heads) // across)
    height = 0.7 + down * (0.6 + _BAR_INCHES * len(table.rows))
    figure = _new_figure(height)
    grid = figure.subplots(down, across, squeeze=False, sharey=True)
    for number, axes in enumerate(grid.flat):
        if number >= len(heads):
            axes.set_visible(False)
            continue
        values = [numbers[number] for numbers in table.rows.values()]
        texts = [f"{value:,.{table.digits[number]}f}" for value in values]
        _draw_bars(axes, list(table.rows), values, texts, color=OURS)
        axes.set_title(heads[number].replace("`", ""), fontsize=7.5, wrap=True)
        axes.set_xticks([])
    return figure


def _new_figure(height_inches: float) -> Figure:
    margins = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1)
    return Figure(figsize=(_WIDTH_INCHES, height_inches), layout=margins)


def _draw_bars(
    axes: Axes,
    names: list[str],
    values: list[float],
    texts: list[str],
    *,
    color: str | None = None,
    ends: list[float] | None = None,
) -> None:
    """Draw bars with their texts, which start where the bars and what is drawn on them end."""
    places = range(len(names))
    colors = [color or _color_of(name) for name in names]
    axes.barh(places, values, color=colors, height=0.7)
    for place, end, text in zip(places, ends or values, texts, strict=True):
        axes.annotate(
            *(text, (end, place)),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axes.set_yticks(places, names)
    # The first on top; not by invert_yaxis(), since panels share the axis.
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0, (max(ends or values) or 1.0) * 1.15)
    axes.set_facecolor(GROUND)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _color_of(way: str) -> str:
    if ways.OURS in way:
        return OURS
    return FLOOR if way.startswith(ways.FLOOR) else PEER
