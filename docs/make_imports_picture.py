"""Draws docs/imports.svg, the rooms of the project and who imports whom: python -m docs.make_imports_picture

Every arrow points from a room to one that it imports. Arrows that follow from others (a path of arrows leads there) are
left out; the whole table stands in CONTRIBUTING.md.
"""

from pathlib import Path

from docs.import_graph import room_graph

PICTURE = Path(__file__).with_name("imports.svg")
BOX_WIDTH, BOX_HEIGHT, GAP_X, GAP_Y, MARGIN = 116, 34, 26, 62, 20
COLOURS = {"hpe_ros": "#cfe3ff", "training": "#ffe3c2"}
COLOUR = "#eef0f2"


def levels(graph: dict[str, set[str]]) -> dict[str, int]:
    """Room -> length of the longest chain of imports below it; rooms that import nothing are 0."""
    known: dict[str, int] = {}

    def level(room: str) -> int:
        if room not in known:
            known[room] = 1 + max((level(target) for target in graph[room]), default=-1)
        return known[room]

    for room in graph:
        level(room)
    return known


def reduced(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """The graph without the arrows that a longer path stands for (transitive reduction)."""

    def reachable(room: str) -> set[str]:
        return set().union(*({target} | reachable(target) for target in graph[room]))

    return {
        room: {target for target in targets if not any(target in reachable(other) for other in targets - {target})}
        for room, targets in graph.items()
    }


def picture(graph: dict[str, set[str]]) -> str:
    """The SVG as text."""
    level = levels(graph)
    rows = [sorted(room for room in graph if level[room] == height) for height in range(max(level.values()) + 1)]
    width = 2 * MARGIN + max(len(row) for row in rows) * (BOX_WIDTH + GAP_X) - GAP_X
    height = 2 * MARGIN + len(rows) * (BOX_HEIGHT + GAP_Y) - GAP_Y
    place = {}
    for row_index, row in enumerate(rows):
        left = (width - len(row) * (BOX_WIDTH + GAP_X) + GAP_X) / 2
        for column, room in enumerate(row):
            place[room] = (
                left + column * (BOX_WIDTH + GAP_X),
                height - MARGIN - BOX_HEIGHT - row_index * (BOX_HEIGHT + GAP_Y),
            )
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        'font-size="14" text-anchor="middle">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" fill="#667"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for room, targets in sorted(reduced(graph).items()):
        for target in sorted(targets):
            (x0, y0), (x1, y1) = place[room], place[target]
            x0, x1, y0 = x0 + BOX_WIDTH / 2, x1 + BOX_WIDTH / 2, y0 + BOX_HEIGHT
            bend = (y1 - y0) / 2
            lines.append(
                f'<path d="M{x0:g},{y0:g} C{x0:g},{y0 + bend:g} {x1:g},{y1 - bend:g} {x1:g},{y1:g}" fill="none" '
                'stroke="#667" marker-end="url(#tip)"/>'
            )
    for room, (x, y) in sorted(place.items()):
        lines.append(
            f'<rect x="{x:g}" y="{y:g}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="5" '
            f'fill="{COLOURS.get(room, COLOUR)}" stroke="#445"/>'
        )
        lines.append(f'<text x="{x + BOX_WIDTH / 2:g}" y="{y + BOX_HEIGHT / 2 + 5:g}">{room}</text>')
    return "\n".join([*lines, "</svg>", ""])


def shown_rooms() -> dict[str, set[str]]:
    """The graph of the rooms, without the two files that only start something."""
    hidden = {"hpe_core", "__main__"}
    return {room: targets - hidden for room, targets in room_graph().items() if room not in hidden}


def main() -> None:
    PICTURE.write_text(picture(shown_rooms()))
    print(PICTURE)


if __name__ == "__main__":
    main()
