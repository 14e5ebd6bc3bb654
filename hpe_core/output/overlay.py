"""Pictures of the result: box, axes and numbers drawn on the images, as a browser-playable video or as images."""

import time
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from hpe_core.errors import HpeError

MAX_SIDE_PX = 1280
AXIS_LENGTH_M = 0.10
MIN_STEP_S, MAX_STEP_S = 0.001, 1.0
TIME_BASE = Fraction(1, 90_000)
KEYFRAME_S = 1.0  # of real time: what a video may lose when its process is killed
# REP-155 face frame: x out of the face red, y to the subject's left green, z to the scalp blue; BGR
_HEAD_AXES = ((np.array([0.0, 0.0, -1.0]), (60, 60, 255)), (np.array([1.0, 0.0, 0.0]), (80, 220, 80)))
_HEAD_AXES = (*_HEAD_AXES, (np.array([0.0, -1.0, 0.0]), (255, 140, 60)))
_FACE_COLOURS = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
    (200, 200, 200),
)


def draw(image_bgr, camera, faces, max_side_px=MAX_SIDE_PX):
    """A copy of the image (H, W, 3) with the faces drawn, reduced so that no side exceeds `max_side_px`."""
    height, width = image_bgr.shape[:2]
    scale = min(1.0, max_side_px / max(height, width))
    if scale < 1.0:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        canvas, camera = cv2.resize(image_bgr, size, interpolation=cv2.INTER_AREA), camera.resized(*size)
    else:
        canvas = image_bgr.copy()
    unit = max(0.35, max(canvas.shape[:2]) / 1280.0)
    for face in sorted(faces, key=lambda face: -np.linalg.norm(face.pose.t_camera_head_m)):
        box_px = (np.asarray(face.box_px) + 0.5) * scale - 0.5
        _draw_face(canvas, camera, face, box_px, unit)
    return canvas


def face_colour(face_id):
    """RGB (0 to 255) in which a face is drawn everywhere: one colour per id, white without (Okabe and Ito)."""
    return _FACE_COLOURS[(ord(face_id[-1]) - ord("a")) % len(_FACE_COLOURS)] if face_id else (255, 255, 255)


def _draw_face(canvas, camera, face, box_px, unit):
    colour = face_colour(face.face_id)[::-1]
    thick = max(1, round(2 * unit))
    limit = 4.0 * max(canvas.shape[:2])  # a face at the edge may reach far outside
    x0, y0, x1, y1 = (int(v) for v in np.clip(np.round(box_px), -limit, limit))
    cv2.rectangle(canvas, (x0, y0), (x1, y1), colour, thick, cv2.LINE_AA)
    if face.landmarks is not None:
        _draw_landmarks(canvas, camera.project(face.landmarks_camera_m), face.landmarks.visible, limit, thick)
    origin = face.pose.t_camera_head_m
    for axis, axis_colour in _HEAD_AXES:
        ends = np.stack([origin, origin + AXIS_LENGTH_M * face.pose.R_camera_head @ axis])
        if ends[:, 2].min() <= 0.01:
            continue
        start, end = np.clip(np.round(camera.project(ends)), -limit, limit).astype(int).tolist()
        cv2.arrowedLine(canvas, start, end, axis_colour, thick + 1, cv2.LINE_AA, tipLength=0.15)
    angles = face.pose.euler_aflw2000
    lines = (
        f"{face.face_id or 'face'}  {np.linalg.norm(origin):.2f} m",
        f"yaw {angles.yaw:+.0f}  pitch {angles.pitch:+.0f}  roll {angles.roll:+.0f}",
    )
    _draw_label(canvas, lines, x0, y0, y1, colour, unit)


def _draw_landmarks(canvas, points_px, visible, limit, radius):
    """Dots (68, 2) px: white where the network sees the point, grey where it is hidden."""
    for point, seen in zip(
        np.clip(np.round(points_px), -limit, limit).astype(int).tolist(), visible > 0.5, strict=True
    ):
        cv2.circle(canvas, point, radius, (255, 255, 255) if seen else (130, 130, 130), cv2.FILLED, cv2.LINE_AA)


def _draw_label(canvas, lines, x0, y0, y1, colour, unit):
    """Lines of text on a dark plate above the box, or below it when there is no room, always inside the image."""
    font, size, weight = cv2.FONT_HERSHEY_SIMPLEX, 0.55 * unit + 0.15, max(1, round(1.4 * unit))
    extents = [cv2.getTextSize(line, font, size, weight)[0] for line in lines]
    row, pad = round(max(height for _, height in extents) * 1.6), max(2, round(5 * unit))
    plate_width, plate_height = max(width for width, _ in extents) + 2 * pad, row * len(lines) + pad
    height, width = canvas.shape[:2]
    top = y0 - plate_height - 2 if y0 - plate_height - 2 >= 0 else y1 + 2
    top = int(np.clip(top, 0, max(0, height - plate_height)))
    left = int(np.clip(x0, 0, max(0, width - plate_width)))
    plate = canvas[top : top + plate_height, left : left + plate_width]
    plate[...] = plate * 0.35
    for i, line in enumerate(lines):
        position = (left + pad, top + row * (i + 1) - pad // 2)
        cv2.putText(canvas, line, position, font, size, colour if i == 0 else (255, 255, 255), weight, cv2.LINE_AA)


class OverlayVideo:
    """overlay.mp4: H.264, yuv420p, index at the front, so that browsers play it; times follow the stamps.

    While it is written it is in fragments of KEYFRAME_S each, so that it plays after a kill too; `close` joins them.
    """

    def __init__(self, path):
        try:
            import av
        except ImportError as error:
            raise HpeError("overlay.mp4 needs the package 'av' (pip install av), or run with --no-overlay") from error
        self._av = av
        self._path = Path(path)
        # each fragment ends, and is written, with the next keyframe
        options = {"movflags": "+frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"}
        self._container = av.open(str(path), "w", options=options)
        self._stream = self._keyframe_s = None
        self._pts = self._stamp_ns = 0

    def write(self, picture_bgr, frame):
        """One picture (H, W, 3) uint8 of a Frame; a size other than the first one's is scaled to it."""
        if self._stream is None:
            self._start(picture_bgr.shape[1], picture_bgr.shape[0])
        else:
            step_s = np.clip((frame.stamp_ns - self._stamp_ns) * 1e-9, MIN_STEP_S, MAX_STEP_S)
            self._pts += round(step_s / TIME_BASE)
        self._stamp_ns = frame.stamp_ns
        picture = self._av.VideoFrame.from_ndarray(self._fitted(picture_bgr), format="bgr24")
        picture.pts, picture.time_base = self._pts, TIME_BASE
        if self._keyframe_s is None or time.monotonic() - self._keyframe_s > KEYFRAME_S:
            picture.pict_type, self._keyframe_s = self._av.video.frame.PictureType.I, time.monotonic()
        self._container.mux(self._stream.encode(picture))

    def _start(self, width, height):
        self._size = (width, height)
        stream = self._container.add_stream("libx264", rate=30)
        stream.width, stream.height = max(2, width // 2 * 2), max(2, height // 2 * 2)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = TIME_BASE
        # at most about ten pictures wait in the encoder, however many cores there are
        latency = "sync-lookahead=0:sliced-threads=1"
        stream.options = {"preset": "veryfast", "crf": "23", "x264-params": latency}
        self._stream = stream

    def _fitted(self, picture):
        """The picture at the stream's even size; an odd last row or column is cut off."""
        if (picture.shape[1], picture.shape[0]) != self._size:
            picture = cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA)
        picture = picture[: self._stream.height, : self._stream.width]
        missing = (self._stream.height - picture.shape[0], self._stream.width - picture.shape[1])
        if any(missing):
            picture = cv2.copyMakeBorder(picture, 0, missing[0], 0, missing[1], cv2.BORDER_REPLICATE)
        return np.ascontiguousarray(picture)

    def close(self):
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))
        self._container.close()
        if self._stream is not None:
            self._put_in_order()

    def _put_in_order(self):
        """The same pictures as one piece with the index at its front; the fragments stay when there is no room."""
        ordered = self._path.with_name(f".{self._path.name}")
        try:
            with (
                self._av.open(str(self._path)) as fragments,
                self._av.open(str(ordered), "w", format="mp4", options={"movflags": "+faststart"}) as whole,
            ):
                found = fragments.streams.video[0]
                stream = whole.add_stream_from_template(found)
                for packet in fragments.demux(found):
                    if packet.dts is not None:  # the last one only says that there are no more
                        packet.pts -= found.start_time  # fragments cannot say that decoding begins before time 0
                        packet.dts -= found.start_time
                        packet.stream = stream
                        whole.mux(packet)
            ordered.replace(self._path)
        except OSError:
            ordered.unlink(missing_ok=True)


class OverlayImages:
    """overlay/: one picture per image, under the image's own name."""

    def __init__(self, folder):
        folder.mkdir()
        self._folder = folder

    def write(self, picture_bgr, frame):
        """One picture (H, W, 3) uint8 of a Frame."""
        path = self._folder / frame.source
        if path.suffix.lower() not in (".jpg", ".jpeg", ".png"):
            path = path.with_name(path.name + ".png")
        # not imwrite: OpenCV dies of names that are not UTF-8
        _, encoded = cv2.imencode(path.suffix.lower(), picture_bgr, [cv2.IMWRITE_JPEG_QUALITY, 92])
        path.write_bytes(encoded.tobytes())

    def close(self):
        """Nothing is open between pictures."""


class Window:
    """A window on the screen that shows the pictures."""

    NAME = "hpe"

    def __init__(self):
        import os
        import sys

        if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise HpeError("--show needs a screen, but neither DISPLAY nor WAYLAND_DISPLAY is set")
        try:
            cv2.namedWindow(self.NAME, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        except cv2.error as error:
            raise HpeError(
                "--show needs an OpenCV with windows; this one has none (opencv-python-headless): "
                "install opencv-python in its place"
            ) from error

    def write(self, picture_bgr, frame):
        """Show one picture; returns False once the user has pressed q or Escape."""
        cv2.imshow(self.NAME, picture_bgr)
        return cv2.waitKey(1) & 0xFF not in (ord("q"), 27)

    def close(self):
        cv2.destroyWindow(self.NAME)
