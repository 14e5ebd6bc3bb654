"""Tables with a row per method: the same cells on the terminal, in Markdown and in the report."""

from hpe_core.evaluation.images.evaluate import Absent

# header, path below a method's summary
COLUMNS = (
    ("found", "detection.recall"),
    ("false/img", "detection.false_per_image"),
    ("yaw", "rotation.euler_mae_deg.yaw"),
    ("pitch", "rotation.euler_mae_deg.pitch"),
    ("roll", "rotation.euler_mae_deg.roll"),
    ("MAE", "rotation.euler_mae_deg.mean"),
    ("95 %", "rotation.euler_mae_deg.ci95"),
    ("bias y/p/r", "rotation.euler_bias_deg"),
    ("MAE, missed=mean", "rotation.euler_mae_deg.mean_failures_as_mean_pose"),
    ("MAE aligned", "aligned.rotation.euler_mae_deg.mean"),
    ("MAEV", "rotation.maev_deg.mean"),
    ("geo median", "rotation.geodesic_deg.median"),
    ("95 %", "rotation.geodesic_deg.median_ci95"),
    ("mean", "rotation.geodesic_deg.mean"),
    ("p95", "rotation.geodesic_deg.p95"),
    ("mean aligned", "aligned.rotation.geodesic_deg.mean"),
    ("depth %", "translation.depth_percent.median"),
    ("lateral mm", "translation.lateral_mm.median"),
    ("NEES", "uncertainty.rotation.nees_over_dof"),
    ("in 68 %", "uncertainty.rotation.coverage.0.6827"),
    ("in 95 %", "uncertainty.rotation.coverage.0.95"),
    ("t NEES", "uncertainty.translation.nees_over_dof"),
    ("t in 95 %", "uncertainty.translation.coverage.0.95"),
)


def method_table(results):
    """Header and rows (lists of text) of dict method -> ImageResult or Absent, without the columns nobody fills."""
    measured = _measured(results)
    shown = [column for column in COLUMNS if any(_cell(s, column[1]) for s in measured.values())]
    rows = []
    for name, result in results.items():
        if isinstance(result, Absent):
            rows.append([short(name, result.faces_from), f"absent: {result.reason}", *[""] * len(shown)])
            continue
        cells = [_cell(result.summary, path) for _, path in shown]
        counts = result.summary["detection"]
        cells[0] = f"{counts['matched']}/{counts['true_heads']}"
        rows.append([short(name, result.summary["faces_from"]), result.summary["faces_from"], *cells])
    return ["method", "faces from", *(header for header, _ in shown)], rows


def _measured(results):
    return {name: r.summary for name, r in results.items() if not isinstance(r, Absent)}


def short(name, faces_from):
    """A method's name without the source of its faces, which has a column of its own."""
    return name.removesuffix(f", {faces_from}")


def yaw_table(results):
    """Header and rows of the mean geodesic error by |yaw|, raw and aligned."""
    measured = _measured(results)
    edges = sorted({(b["from"], b["to"]) for s in measured.values() for b in s["by"]["abs_yaw_deg"]})
    rows = []
    for name, summary in measured.items():
        for label, by in (("", summary["by"]), (" aligned", (summary["aligned"] or {}).get("by"))):
            bins = {(b["from"], b["to"]): b for b in (by or {}).get("abs_yaw_deg", ())}
            if bins:
                rows.append(
                    [
                        short(name, summary["faces_from"]) + label,
                        summary["faces_from"],
                        *(_bin_cell(bins.get(edge)) for edge in edges),
                    ]
                )
    return ["geodesic mean (faces)", "faces from", *(f"|yaw| {low:g} to {high:g}" for low, high in edges)], rows


def _bin_cell(part):
    if part is None:
        return ""
    mean = part["geodesic_deg"]["mean"]
    missed = round(part["true_heads"] * (1.0 - part["recall"]))
    text = "" if mean is None else f"{mean:.2f} "
    return f"{text}({part['true_heads']}{f', {missed} missed' if missed else ''})"


def _cell(summary, path):
    """The number at a dotted path as text, empty when it was not measured; two digits, shares in per cent."""
    head, _, level = path.partition(".coverage.")  # a level has a point of its own
    value = summary
    for key in (*head.split("."), *(("coverage", level) if level else ())):
        value = value.get(key) if isinstance(value, dict) else None
    if value is None:
        return ""
    if isinstance(value, list):
        return "-".join(f"{v:.2f}" for v in value) if len(value) == 2 else "/".join(f"{v:+.1f}" for v in value)
    return f"{100 * value:.0f} %" if level else f"{value:.2f}"


def markdown(header, rows):
    """A Markdown table."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in (header, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(header), *lines[1:]]) + "\n"


def print_table(console, title, header, rows):
    """The table on a rich Console; rows of any width stay on one line each."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title), title_justify="left", padding=(0, 1), collapse_padding=True)
    for number, name in enumerate(header):
        table.add_column(escape(name), justify="left" if number < 2 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)
