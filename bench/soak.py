"""The pose node at a steady rate for a long time, with its memory and counts sampled: does anything grow?

    python -m bench.soak --minutes 30 [--rate 30] [--out hpe_out/soak.csv]
    python -m bench.soak --cycles 50

Needs a sourced ROS 2. One row per sample goes into the CSV; the summary at the end fits a line to the memory after
warm-up. Exit status 1 when memory grows by more than --allowed-mb-per-hour, when an internal error was counted, or when
images did not come through. With --cycles the lifecycle goes round instead, from unconfigured to active and back.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from bench.ros_rig import Rig
from bench.rows import ROOT, append

WARM_UP_S = 600.0  # or a third of a shorter run: allocators settle for some minutes
WARM_CYCLES, ALLOWED_CYCLE_MB = 5, 0.5


def warm_up_s(seconds):
    """How much of a run of so many seconds does not count."""
    return min(WARM_UP_S, seconds / 3.0)


def growth_mb_per_hour(times_s, rss_mb):
    """(slope in MB/h, its standard error) of a line through the memory after warm-up."""
    times_h, rss_mb = np.array(times_s) / 3600.0, np.array(rss_mb)
    late = times_h >= warm_up_s(times_s[-1]) / 3600.0
    if late.sum() < 3:
        return float("nan"), float("nan")
    (slope, _), covariance = np.polyfit(times_h[late], rss_mb[late], 1, cov="unscaled")
    residual = rss_mb[late] - np.polyval(np.polyfit(times_h[late], rss_mb[late], 1), times_h[late])
    return float(slope), float(np.sqrt(covariance[0, 0] * residual.var(ddof=2)))


def sample(rig, start):
    """One row: seconds since the start, the process, and the counts of its diagnostics."""
    values = rig.health.get("input", {})
    counts = {name: int(values.get(name, 0)) for name in ("received", "processed", "dropped")}
    internal = int(values.get("dropped, internal error", 0))
    latency = rig.health.get("latency", {}).get("latency_ms", "n/a")
    row = {"seconds": round(time.monotonic() - start, 1)} | rig.process() | counts
    return row | {"internal_errors": internal, "answers": len(rig.delays_s), "latency_p50_p95_ms": latency}


def cycles(args):
    """Go round args.cycles times; exit status."""
    memory = []
    with Rig(model=args.model, autostart=False) as rig:
        for _ in range(args.cycles):
            for label in ("configure", "activate", "deactivate", "cleanup"):
                rig.transition(label)
            memory.append(rig.process()["rss_mb"])
        files = rig.process()["files"]
        rig.transition("shutdown")
    print("MB after each round:", " ".join(f"{mb:.0f}" for mb in memory))
    if args.cycles < WARM_CYCLES + 2:
        print(f"too few rounds for a growth; {files} open files")
        return 0
    late = memory[WARM_CYCLES:]
    grown_mb = late[-1] - late[0]
    print(f"{grown_mb:+.1f} MB in {len(late) - 1} rounds after the first {WARM_CYCLES}; {files} open files")
    return 1 if grown_mb > ALLOWED_CYCLE_MB * len(late) else 0


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--minutes", type=float, default=30.0)
    p.add_argument("--rate", type=float, default=30.0)
    p.add_argument("--cycles", type=int, default=0)
    p.add_argument("--faces", type=int, default=1, choices=(1, 4))
    p.add_argument("--model", default="head6dof")
    p.add_argument("--every", type=float, default=5.0, help="seconds between samples")
    p.add_argument("--allowed-mb-per-hour", type=float, default=4.0)
    p.add_argument("--answered", type=float, default=0.9, help="least part of the images that must be answered")
    p.add_argument("--out", type=Path, default=ROOT / "hpe_out" / "soak.csv")
    args = p.parse_args()
    if args.cycles:
        return cycles(args)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    frames, rows, start = round(args.minutes * 60 * args.rate), [], time.monotonic()
    args.out.unlink(missing_ok=True)
    with Rig(model=args.model) as rig:
        rig.start_camera(640, 480, args.rate, args.faces, frames)
        while rig.camera_running() and rig.node.poll() is None:
            rows.append(sample(rig, start))
            append(args.out, rows[-1:])
            time.sleep(args.every)
        sent, values = rig.sent(), rig.settled_health()["input"]
        rows.append(sample(rig, start))
        append(args.out, rows[-1:])
        alive, log = rig.node.poll() is None, rig.log
    received, processed = int(values["received"]), int(values["processed"])
    times, rss = [row["seconds"] for row in rows], [row["rss_mb"] for row in rows]
    slope, error = growth_mb_per_hour(times, rss)
    warm = [mb for second, mb in zip(times, rss, strict=True) if second >= warm_up_s(times[-1])]
    print(f"{sent['sent']} images sent in {sent['seconds']:.0f} s, the latest {sent['latest_ms']:.0f} ms late")
    print(f"{received} received, {processed} processed; dropped: " + _reasons(values))
    print(
        f"memory after warm-up {warm[0]:.1f} MB, at the end {warm[-1]:.1f}, between {min(warm):.1f} and {max(warm):.1f}"
    )
    fitted = f"growth {slope:+.2f} +- {error:.2f} MB/h" if np.isfinite(slope) else "too short for a growth"
    print(f"{fitted}; threads {rows[-1]['threads']}, open files {rows[-1]['files']}")
    problems = []
    if not alive or "Traceback" in log:
        problems.append(f"the node died or stumbled:\n{log}")
    if times[-1] > WARM_UP_S and slope - 2 * error > args.allowed_mb_per_hour:
        problems.append(f"memory grows by more than {args.allowed_mb_per_hour:g} MB/h")
    if rows[-1]["internal_errors"] or processed < args.answered * sent["sent"]:
        problems.append("images were lost")
    print("\n".join(problems) or "no fault found")
    return 1 if problems else 0


def _reasons(values):
    found = {key.removeprefix("dropped, "): count for key, count in values.items() if key.startswith("dropped, ")}
    return ", ".join(f"{count} {reason}" for reason, count in found.items()) or "none"


if __name__ == "__main__":
    raise SystemExit(main())
