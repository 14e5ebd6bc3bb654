"""A soak of the nodes with two cameras before which people come, cross and go: one process, one model, 30 Hz each.

    python -m bench.soak_crowd [--minutes 25] [--rate 30] [--model fusion_int8] [--most 12] [--data ../shared/data]

Photographed faces (LFW, see bench.crowd) walk through grey images of 640x480 from side to side, 1 to 12 at a time, each
at a size, a height and a speed of its own, the larger in front. Camera process and observer compute the same walks, so
each published head is compared with where people are at its stamp. Counted are

- ids that came again after they had been away for GONE_S, or stood twice in one message: none is allowed;
- wild poses: no finite pose, or projected to where nobody is within half a face's width: less than one in a thousand
  allowed;
- jumps from one message to the next with the same id: of direction, distance or rotation (the faces never turn; one
  that another covers may be misread);
- ids that went over to another person.

Memory of the nodes' process is sampled every 5 s into hpe_out/soak_crowd.csv; the exit status says whether it grew.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from array import array
from collections import Counter, deque
from pathlib import Path

import numpy as np

from bench.ros_rig import process
from bench.rows import ROOT, append
from bench.soak import WARM_UP_S, growth_mb_per_hour, warm_up_s
from bench.walkers import HEIGHT, WIDTH, Crowd, Painter, Walker

FOCAL_PX = 512.0
CENTRE_PX = np.array([(WIDTH - 1) / 2, (HEIGHT - 1) / 2])
CAMERAS = ("left", "right")
NAMESPACE = "/bench"
KEPT_WILD = 500
NEAR_WIDTHS = 0.5  # of the face, between a pose and the middle of its person
GONE_S = 3.0  # an id away for so long, far above timeout_s, must not come again
JUMP_DEG, JUMP_RANGE, JUMP_WIDTHS, JUMP_WITHIN_S = 30.0, 1.3, 0.5, 0.2
ALLOWED_MB_PER_HOUR, ALLOWED_WILD = 4.0, 1e-3


def camera(args):
    """The camera process: both crowds, until it is stopped; frame k has the stamp start + k / rate."""
    import rclpy
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import CameraInfo, Image

    rclpy.init(args=[])
    node, painter, sent = rclpy.create_node("crowds"), Painter(args.data), []
    info = CameraInfo(height=HEIGHT, width=WIDTH, distortion_model="plumb_bob", d=[0.0] * 5)
    info.k = np.array([FOCAL_PX, 0, CENTRE_PX[0], 0, FOCAL_PX, CENTRE_PX[1], 0, 0, 1.0])
    for seed, name in enumerate(CAMERAS):
        images = node.create_publisher(Image, f"{NAMESPACE}/{name}/image", qos_profile_sensor_data)
        infos = node.create_publisher(CameraInfo, f"{NAMESPACE}/{name}/camera_info", qos_profile_sensor_data)
        sent.append((Crowd(seed, args.most, args.rate), f"{name}_lens", images, infos))
    period_ns, count, skipped = round(1e9 / args.rate), 0, 0
    try:
        while rclpy.ok() and count < args.minutes * 60 * args.rate:
            due_ns = args.start_ns + count * period_ns
            late_ns = time.time_ns() - due_ns
            time.sleep(max(0.0, -late_ns * 1e-9))
            for crowd, frame_id, images, infos in sent:
                people = crowd.go_on()
                if late_ns > 3 * period_ns:
                    skipped += 1
                    continue
                picture = painter.paint(people, crowd.frame)
                message = Image(height=HEIGHT, width=WIDTH, encoding="bgr8", step=3 * WIDTH)
                message.data = array("B", picture.tobytes())
                for header in (message.header, info.header):
                    header.frame_id = frame_id
                    header.stamp.sec, header.stamp.nanosec = divmod(due_ns, 10**9)
                infos.publish(info)
                images.publish(message)
            count += 1
    finally:
        print(f"camera: {2 * count} images due, {skipped} of them not painted, being late", flush=True)
    return 0


class Watch:
    """What one camera's heads say, compared with its crowd. `counts`: what was found, by name."""

    def __init__(self, seed: int, args):
        self._crowd, self._args = Crowd(seed, args.most, args.rate), args
        self._people: deque[tuple[int, list[Walker]]] = deque(maxlen=600)
        self._last: dict[str, tuple[int, np.ndarray, np.ndarray, Walker | None]] = {}  # by id
        self.counts, self.most_heads = Counter(messages=0, heads=0, visible=0), 0
        self.wild: list[dict] = []  # the first of them, to look at

    @property
    def ids(self) -> int:
        """How many different ones there have been."""
        return len(self._last)

    def there(self, frame: int) -> list[Walker]:
        """Who is there in a frame of the last ten seconds or so."""
        while self._crowd.frame < frame:
            self._people.append((self._crowd.frame + 1, list(self._crowd.go_on())))
        return next((people for number, people in self._people if number == frame), [])

    def on_heads(self, message):
        """vision_msgs/Detection3DArray of the camera."""
        stamp_ns = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        frame = round((stamp_ns - self._args.start_ns) * 1e-9 * self._args.rate)
        people = self.there(frame)
        inside = [one for one in people if 0.0 <= one.middle_px(frame)[0] < WIDTH]
        self.counts.update(messages=1, heads=len(message.detections), visible=len(inside))
        self.most_heads = max(self.most_heads, len(message.detections))
        names = [detection.id for detection in message.detections]
        self.counts["ids repeated"] += len(names) - len(set(names))
        for detection in message.detections:
            self._on_head(detection, stamp_ns, frame, people)

    def _on_head(self, detection, stamp_ns, frame, people):
        pose = detection.results[0].pose.pose
        t = np.array([pose.position.x, pose.position.y, pose.position.z])
        q = np.array([pose.orientation.x, pose.orientation.y, pose.orientation.z, pose.orientation.w])
        if not np.isfinite([*t, *q]).all() or t[2] <= 0.0:
            self.counts["wild poses"] += 1
            return
        before = self._last.get(detection.id)
        pixel = CENTRE_PX + FOCAL_PX * t[:2] / t[2]
        whose = self._whose(pixel, frame, people, before and before[3])
        if whose is None:
            self.counts["wild poses"] += 1
            if len(self.wild) < KEPT_WILD:
                row = {"frame": frame, "id": detection.id, "x_px": round(pixel[0]), "y_px": round(pixel[1])}
                there = [(one.number, one.photo, *np.round(one.middle_px(frame)).astype(int)) for one in people]
                self.wild.append(row | {"range_m": round(float(np.linalg.norm(t)), 2), "there": there})
        self._last[detection.id] = stamp_ns, t, q, whose
        if before is None:
            return
        away_s = (stamp_ns - before[0]) * 1e-9
        if away_s > GONE_S:
            self.counts["ids repeated"] += 1
        if before[3] is not None and whose is not None and before[3].number != whose.number:
            self.counts["ids to another person"] += 1
        elif away_s < JUMP_WITHIN_S:
            self._jumps(before, t, q)

    @staticmethod
    def _whose(pixel, frame, people, owner):
        """The Walker at a pixel: the owner as long as that may be, else the nearest; None where nobody is."""
        apart = {one.number: np.linalg.norm(one.middle_px(frame) - pixel) / one.face_px for one in people}
        if owner is not None and apart.get(owner.number, np.inf) < NEAR_WIDTHS:
            return owner
        near = min(people, key=lambda one: apart[one.number], default=None)
        return near if near is not None and apart[near.number] < NEAR_WIDTHS else None

    def _jumps(self, before, t, q):
        """Of somebody whose rotation never changes and whose face moves by less than a tenth of its width a frame."""
        turned_deg = np.degrees(2.0 * np.arccos(min(1.0, abs(float(before[2] @ q)))))
        far, near = np.linalg.norm(before[1]), np.linalg.norm(t)
        moved_px = FOCAL_PX * np.linalg.norm(t[:2] / t[2] - before[1][:2] / before[1][2])
        self.counts["jumps of rotation"] += bool(turned_deg > JUMP_DEG)
        self.counts["jumps of distance"] += bool(max(far, near) / min(far, near) > JUMP_RANGE)
        self.counts["jumps of direction"] += before[3] is not None and bool(moved_px > JUMP_WIDTHS * before[3].face_px)


class Rig:
    """The nodes' process, the camera process and an observer here."""

    def __init__(self, args, folder: Path):
        import rclpy
        from diagnostic_msgs.msg import DiagnosticArray
        from rclpy.executors import SingleThreadedExecutor
        from vision_msgs.msg import Detection3DArray

        cameras, parameters = folder / "cameras.yaml", folder / "pose.yaml"
        cameras.write_text("cameras: [" + ", ".join(f"{{name: {name}}}" for name in CAMERAS) + "]\n")
        parameters.write_text(f"/**:\n  ros__parameters: {{model: {args.model}, max_faces: {args.most}}}\n")
        given = {"cameras_file": cameras, "pose_params_file": parameters, "autostart": "true"}
        command = [sys.executable, "-m", "hpe_ros.nodes.cameras_node", "--ros-args", "-r", f"__ns:={NAMESPACE}"]
        command += [part for name, value in given.items() for part in ("-p", f"{name}:={value}")]
        self.log = folder / "log.txt"
        self.node = subprocess.Popen(command, cwd=ROOT, stdout=open(self.log, "w"), stderr=subprocess.STDOUT)
        rclpy.init(args=[])
        self._observer = rclpy.create_node("observer")
        self.watches, self.input = {}, {name: {} for name in CAMERAS}
        for seed, name in enumerate(CAMERAS):
            self.watches[name] = watch = Watch(seed, args)
            self._observer.create_subscription(Detection3DArray, f"{NAMESPACE}/{name}/heads", watch.on_heads, 100)
        self._observer.create_subscription(DiagnosticArray, "/diagnostics", self._on_health, 10)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._observer)
        threading.Thread(target=self._executor.spin, daemon=True).start()
        end = time.monotonic() + 120.0
        while not all(self._observer.count_subscribers(f"{NAMESPACE}/{name}/image") for name in CAMERAS):
            if time.monotonic() > end or self.node.poll() is not None:
                raise SystemExit(f"the nodes do not become active:\n{self.log.read_text()}")
            time.sleep(0.1)
        args.start_ns = time.time_ns() + 20 * 10**9  # until then the camera process chooses its photos
        options = ("minutes", "rate", "most", "data", "start_ns")
        own = [part for name in options for part in (f"--{name.replace('_', '-')}", str(getattr(args, name)))]
        self.camera = subprocess.Popen([sys.executable, "-m", "bench.soak_crowd", "--camera", *own], cwd=ROOT)

    def _on_health(self, message):
        for status in message.status:
            for name in CAMERAS:
                if status.hardware_id == f"{NAMESPACE}/{name}/pose_node" and status.name.endswith(": input"):
                    self.input[name] = {value.key: value.value for value in status.values}

    def sample(self, seconds: float) -> dict:
        """One row: seconds since the start, the process of the nodes, what they counted and what was seen."""
        counts = sum((watch.counts for watch in self.watches.values()), Counter())
        row = {"seconds": round(seconds, 1)} | process(self.node.pid)
        for key in ("received", "processed", "dropped"):
            row[key] = sum(int(values.get(key, 0)) for values in self.input.values())
        kinds = ("heads", "visible", "ids repeated", "wild poses", "ids to another person")
        kinds += ("jumps of rotation", "jumps of distance", "jumps of direction")
        return row | {"ids": sum(w.ids for w in self.watches.values())} | {kind: int(counts[kind]) for kind in kinds}

    def close(self):
        """End both processes and the observer."""
        import rclpy

        for child in (self.camera, self.node):
            if child.poll() is None:
                child.terminate()
                child.wait(20.0)
        self._executor.shutdown()
        rclpy.try_shutdown()


def soak(args, rig: Rig) -> int:
    """Sample until the camera process ends; exit status."""
    start, rows = time.monotonic(), []
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.unlink(missing_ok=True)
    while rig.camera.poll() is None and rig.node.poll() is None:
        time.sleep(5.0)
        rows.append(rig.sample(time.monotonic() - start))
        append(args.out, rows[-1:])
    alive, last = rig.node.poll() is None, rows[-1]
    times, rss = [row["seconds"] for row in rows], [row["rss_mb"] for row in rows]
    slope, error = growth_mb_per_hour(times, rss)
    warm = [mb for second, mb in zip(times, rss, strict=True) if second >= warm_up_s(times[-1])]
    for name, watch in rig.watches.items():
        reasons = {key: value for key, value in rig.input[name].items() if key.startswith("dropped, ")}
        print(f"{name}: {dict(watch.counts)}, {watch.ids} ids, at most {watch.most_heads} at a time; {reasons}")
    print(last)
    wild = [{"camera": name} | row for name, watch in rig.watches.items() for row in watch.wild]
    if wild:
        path = args.out.with_name(f"{args.out.stem}_wild.csv")
        path.unlink(missing_ok=True)
        append(path, wild)
        print(f"poses where nobody is: {path}")
    print(f"memory at start {rss[0]:.1f} MB, after warm-up {warm[0]:.1f}, at the end {warm[-1]:.1f}", end="")
    print(f", between {min(warm):.1f} and {max(warm):.1f}; growth {slope:+.2f} +- {error:.2f} MB/h")
    problems = (
        [] if alive and "Traceback" not in rig.log.read_text() else [f"the nodes stumbled:\n{rig.log.read_text()}"]
    )
    if times[-1] > WARM_UP_S and slope - 2 * error > ALLOWED_MB_PER_HOUR:
        problems.append(f"memory grows by more than {ALLOWED_MB_PER_HOUR:g} MB/h")
    if last["ids repeated"]:
        problems.append("an id came again")
    if last["wild poses"] > ALLOWED_WILD * last["heads"] or not last["heads"]:
        problems.append("poses where nobody is")
    print("\n".join(problems) or "no fault found")
    return 1 if problems else 0


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--minutes", type=float, default=25.0)
    p.add_argument("--rate", type=float, default=30.0)
    p.add_argument("--most", type=int, default=12, help="most people at a time, for each camera")
    p.add_argument("--model", default="fusion_int8")
    p.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    p.add_argument("--out", type=Path, default=ROOT / "hpe_out" / "soak_crowd.csv")
    p.add_argument("--camera", action="store_true", help=argparse.SUPPRESS)
    p.add_argument("--start-ns", type=int, default=0, help=argparse.SUPPRESS)
    args = p.parse_args()
    # a domain of our own on this machine only, unless one is given
    os.environ.setdefault("ROS_DOMAIN_ID", str(random.SystemRandom().randrange(10, 100)))
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    if args.camera:
        return camera(args)
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(args, Path(folder))
        try:
            return soak(args, rig)
        finally:
            rig.close()


if __name__ == "__main__":
    raise SystemExit(main())
