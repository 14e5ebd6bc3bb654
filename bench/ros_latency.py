"""Latency of the pose node on a real ROS graph: image stamp to poses published, as a robot's clock sees it.

    python -m bench.ros_latency [--model fusion] [--image_transport compressed] [--sizes 1280x720] [--no-append]

Needs a sourced ROS 2. A camera process publishes images of the sample bag, stamped just before publishing, at every
size, rate and number of faces; the node and an observer are processes of their own. One row per case is appended to
bench/results_ros.csv: medians and 95th percentiles in milliseconds over the last 300 images, by the node's own
diagnostics and by the observer, who also waits for the poses to arrive. `share_*` say what the median went to:
transport (publishing an image in Python, DDS, taking it), network, the rest of hpe_core, and the node itself. cpu_cores
is the node's CPU time in a second.
"""

import argparse
import itertools
import os
import time
from datetime import date
from pathlib import Path

import numpy as np

from bench.ros_rig import GRIDS, Rig
from bench.rows import ROOT, append, commit
from hpe_core.cli.tools.bench import cpu_name

RESULTS = ROOT / "bench" / "results_ros.csv"
SIZES = ((640, 480), (1280, 720))
RATES_HZ = (15, 30, 60)
WARM_UP = 30
CYCLONE_BUFFER = '<CycloneDDS><Domain><Internal><SocketReceiveBufferSize max="{}"/></Internal></Domain></CycloneDDS>'
NETWORK, CORE = ("inference", "refinement"), ("preprocess", "postprocess", "tracking")


def percentiles_ms(values, name):
    """(p50, p95) of one entry of the latency diagnostics; (nan, nan) when the node has none."""
    text = values.get(f"{name}_ms", "nan/nan")
    return tuple(float(part) if part != "n/a" else float("nan") for part in text.split("/"))


def shares(values):
    """dict share_* -> part of the median from stamp to publish."""
    total = percentiles_ms(values, "stamp_to_publish")[0]

    def part(names):
        return sum(percentiles_ms(values, name)[0] for name in names if f"{name}_ms" in values) / total

    parts = {"transport": part(["stamp_age"]), "network": part(NETWORK), "core": part(CORE), "node": part(["node"])}
    return {f"share_{name}": round(share, 3) for name, share in parts.items()}


def measure(parameters, width, height, rate_hz, faces, frames):
    """Row of one case; parameters: those of the node (dict)."""
    with Rig(**parameters) as rig:
        rig.start_camera(width, height, rate_hz, faces, frames)
        while rig.camera_running() and not rig.delays_s:
            time.sleep(0.01)
        cpu_s, start = rig.process()["cpu_s"], time.monotonic()
        while rig.camera_running():
            time.sleep(0.1)
        cores = (rig.process()["cpu_s"] - cpu_s) / (time.monotonic() - start)
        sent = rig.sent()["sent"]
        health = rig.settled_health()
        late_s, found = rig.delays_s[WARM_UP:] or [float("nan")], rig.faces[WARM_UP:] or [0]
    counts, times = health["input"], health["latency"]
    received, processed, dropped = (int(counts[name]) for name in ("received", "processed", "dropped"))
    superseded = int(counts.get("dropped, superseded by a newer image", 0))
    p50_ms, p95_ms = percentiles_ms(times, "stamp_to_publish")
    there_p50_ms, there_p95_ms = np.percentile(late_s, (50, 95)) * 1e3
    row = {"width": width, "height": height, "rate_hz": rate_hz, "faces": faces, "sent": sent, "received": received}
    row |= {"processed": processed, "superseded": superseded, "dropped_otherwise": dropped - superseded}
    row |= {"faces_found": round(float(np.mean(found)), 2)}
    row |= {"stamp_to_publish_p50_ms": p50_ms, "stamp_to_publish_p95_ms": p95_ms}
    row |= {"stamp_to_observer_p50_ms": round(there_p50_ms, 2), "stamp_to_observer_p95_ms": round(there_p95_ms, 2)}
    row |= {"node_p50_ms": percentiles_ms(times, "node")[0], "cpu_cores": round(cores, 3)}
    return row | shares(times)


def _told(row):
    """One line about a case."""
    case = "{width}x{height} {faces} face(s) {rate_hz:2} Hz".format(**row)
    times = "stamp to publish p50 {stamp_to_publish_p50_ms:6.2f} p95 {stamp_to_publish_p95_ms:6.2f} ms".format(**row)
    node = "node {node_p50_ms:5.2f} ms, {cpu_cores:.2f} cores".format(**row)
    counts = "{sent} sent, {received} arrived, {processed} processed".format(**row)
    parts = ", ".join(f"{name[6:]} {value:.0%}" for name, value in row.items() if name.startswith("share_"))
    return f"{case}: {times}, {node}; {counts}; {parts}"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--frames", type=int, default=330)
    p.add_argument("--model", default="auto")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--image_transport", default="raw", choices=("raw", "compressed"))
    p.add_argument("--reliability", default="best_effort", choices=("best_effort", "reliable"))
    p.add_argument(
        "--receive_buffer",
        default="",
        help="most that Cyclone DDS asks for its sockets, as 4MB; cut by the"
        " kernel's net.core.rmem_max; empty: its default",
    )
    p.add_argument("--sizes", nargs="+", default=SIZES, type=lambda text: tuple(map(int, text.split("x"))))
    p.add_argument("--no-append", action="store_true")
    p.add_argument("--out", type=Path, default=RESULTS)
    args = p.parse_args()

    from rclpy.utilities import get_rmw_implementation_identifier

    ros = {"ros": os.environ.get("ROS_DISTRO", ""), "rmw": get_rmw_implementation_identifier()}
    if args.receive_buffer:
        os.environ["CYCLONEDDS_URI"] = CYCLONE_BUFFER.format(args.receive_buffer)
    parameters = {name: getattr(args, name) for name in ("model", "threads", "image_transport", "reliability")}
    rows = []
    for (width, height), faces, rate_hz in itertools.product(args.sizes, GRIDS, RATES_HZ):
        where = {"date": date.today(), "commit": commit(), "hardware": cpu_name(), "cores": os.cpu_count()}
        where |= ros | {"load": round(os.getloadavg()[0], 1)} | parameters
        where["receive_buffer"] = args.receive_buffer
        row = measure(parameters, width, height, rate_hz, faces, args.frames)
        rows.append(where | row)
        print(_told(row), flush=True)
    if not args.no_append:
        append(args.out, rows)


if __name__ == "__main__":
    main()
