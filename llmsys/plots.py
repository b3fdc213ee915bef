"""One look for all figures: colour-blind safe, legible on a projector, with alternative text.

A colour means the same thing in every lesson: `BLUE` is the reader's own code, `ORANGE` the library or paper it is
compared with, `GREEN` what is right or free, `RED` what is wrong or costly, `GREY` guides and context, `PURPLE` and
`SKY` further series.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

# Okabe and Ito's palette (https://jfly.uni-koeln.de/color), which stays apart under every form of colour blindness.
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, YELLOW, GREY = "#CC79A7", "#56B4E9", "#F0E442", "#7A7A7A"

_STYLE: Any = {
    "figure.figsize": (7.2, 4.0),
    "figure.dpi": 110,
    "figure.constrained_layout.use": True,
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "lines.linewidth": 2,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


def style() -> None:
    """Use the course's look for the figures that follow."""
    plt.rcParams.update(_STYLE)
    plt.rcParams["axes.prop_cycle"] = cycler(color=[BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY])


def show(figure: Figure, alt: str) -> None:
    """Display `figure` below the cell; `alt` says in a sentence what it shows, for those who can't see it."""
    from IPython.display import display

    display(figure, metadata={"image/png": {"alt": alt}})
    plt.close(figure)


def graph(
    labels: Mapping[Any, str],
    edges: Iterable[tuple[Any, Any]],
    *,
    colors: Mapping[Any, str] | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Draw a directed acyclic graph from left to right.

    Args:
        labels: node -> the text in its box (may hold line breaks), in any order.
        edges: (from, to) pairs of nodes.
        colors: node -> edge colour of its box (default grey).
        title: stands above the drawing.
        ax: where to draw; a figure of fitting size is made when it is left out.

    Returns:
        The figure, for `show`.
    """
    edges = list(dict.fromkeys(edges))
    columns = _layers(list(labels), edges)
    width, height = len(columns), max(map(len, columns), default=1)
    if ax is None:
        _, ax = plt.subplots(figsize=(max(4.0, 1.45 * width), max(1.8, 0.95 * height)))
    figure = ax.get_figure()
    assert isinstance(figure, Figure)
    ax.set(xlim=(-0.6, width - 0.4), ylim=(-height + 0.4, 0.6), title=title)
    ax.axis("off")
    boxes = {
        node: _box(ax, x, (len(column) - height) / 2 - y, labels[node], (colors or {}).get(node, GREY))
        for x, column in enumerate(columns)
        for y, node in enumerate(column)
    }
    figure.draw_without_rendering()  # only now do the boxes have the size at whose edge an arrow ends
    for a, b in edges:
        _arrow(ax, boxes[a], boxes[b])
    return figure


def _box(ax: Axes, x: float, y: float, label: str, color: str) -> Text:
    box = {"boxstyle": "round,pad=0.4", "facecolor": "white", "edgecolor": color, "lw": 1.8}
    return ax.text(x, y, label, ha="center", va="center", fontsize=10, bbox=box, zorder=3)


def _arrow(ax: Axes, tail: Text, head: Text) -> None:
    (x0, y0), (x1, y1) = tail.get_position(), head.get_position()
    bend = 0.0 if x1 - x0 == 1 else -0.25  # an arrow that passes over a column keeps clear of the boxes in it
    style = {"arrowstyle": "-|>", "color": GREY, "lw": 1.4, "connectionstyle": f"arc3,rad={bend}"}
    ends = {"patchA": tail.get_bbox_patch(), "patchB": head.get_bbox_patch(), "shrinkA": 0, "shrinkB": 2}
    ax.annotate("", xy=(x1, y1), xytext=(x0, y0), arrowprops=style | ends, zorder=2)


def _layers(nodes: Sequence[Any], edges: Sequence[tuple[Any, Any]]) -> list[list[Any]]:
    """Columns of nodes by longest path from a source; within a column near the mean height of what feeds them."""
    parents: dict[Any, list[Any]] = {node: [] for node in nodes}
    children: dict[Any, list[Any]] = {node: [] for node in nodes}
    for a, b in edges:
        parents[b].append(a)
        children[a].append(b)
    depth: dict[Any, int] = {}
    waiting = {node: len(parents[node]) for node in nodes}
    ready = [node for node in nodes if not waiting[node]]
    while ready:
        node = ready.pop()
        depth[node] = max((depth[p] + 1 for p in parents[node]), default=0)
        for child in children[node]:
            waiting[child] -= 1
            if not waiting[child]:
                ready.append(child)
    if len(depth) < len(nodes):
        raise ValueError("the graph has a cycle")
    for node in sorted(nodes, key=lambda n: -depth[n]):  # an input stands just left of the first node that reads it
        if not parents[node] and children[node]:
            depth[node] = min(depth[c] for c in children[node]) - 1
    columns: list[list[Any]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for node in nodes:
        columns[depth[node]].append(node)
    height: dict[Any, float] = {}
    for column in columns:
        column.sort(key=lambda n: _mean([height[p] for p in parents[n] if p in height]))
        height.update({node: y - len(column) / 2 for y, node in enumerate(column)})
    return columns


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
