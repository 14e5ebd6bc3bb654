"""The drawn pictures as files: a video that browsers play, or images."""

import time
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from hpe_core.errors import HpeError
from hpe_core.io.frame import Frame

if TYPE_CHECKING:  # loaded on first use: images need no av
    from av.video.stream import VideoStream

MIN_STEP_S = 0.001
MAX_STEP_S = 1.0
TIME_BASE = Fraction(1, 90_000)
KEYFRAME_S = 1.0  # of real time: what a video may lose when its process is killed


class OverlayVideo:
    """overlay.mp4: H.264, yuv420p, index at the front, so that browsers play it; times follow the stamps.

    While it is written it is in fragments of KEYFRAME_S each, so that it plays after a kill too; `close` joins them.
    """

    def __init__(self, path: Path):
        try:
            import av
            from av.video.frame import PictureType
        except ImportError as error:
            raise HpeError("overlay.mp4 needs the package 'av' (pip install av), or run with --no-overlay") from error
        self._av = av
        self._keyframe = PictureType.I
        self._path = path
        # each fragment ends, and is written, with the next keyframe
        options = {"movflags": "+frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"}
        self._container = av.open(str(path), "w", options=options)
        self._stream: VideoStream | None = None
        self._size = (0, 0)  # width, height of the first picture
        self._keyframe_s: float | None = None  # when the last one was written
        self._pts = 0
        self._stamp_ns = 0

    def write(self, picture_bgr: np.ndarray, frame: Frame) -> None:
        """One picture (H, W, 3) uint8 of a Frame; a size other than the first one's is scaled to it."""
        stream = self._stream
        if stream is None:
            stream = self._start(picture_bgr.shape[1], picture_bgr.shape[0])
        else:
            step_s = np.clip((frame.stamp_ns - self._stamp_ns) * 1e-9, MIN_STEP_S, MAX_STEP_S)
            self._pts += round(step_s / TIME_BASE)
        self._stamp_ns = frame.stamp_ns
        picture = self._av.VideoFrame.from_ndarray(self._fitted(picture_bgr, stream), format="bgr24")
        picture.pts = self._pts
        picture.time_base = TIME_BASE
        if self._keyframe_s is None or time.monotonic() - self._keyframe_s > KEYFRAME_S:
            picture.pict_type = self._keyframe
            self._keyframe_s = time.monotonic()
        self._container.mux(stream.encode(picture))

    def _start(self, width: int, height: int) -> "VideoStream":
        self._size = (width, height)
        stream = self._container.add_stream("libx264", rate=30)
        stream.width = max(2, width // 2 * 2)
        stream.height = max(2, height // 2 * 2)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = TIME_BASE
        # at most about ten pictures wait in the encoder, however many cores there are
        latency = "sync-lookahead=0:sliced-threads=1"
        stream.options = {"preset": "veryfast", "crf": "23", "x264-params": latency}
        self._stream = stream
        return stream

    def _fitted(self, picture: np.ndarray, stream: "VideoStream") -> np.ndarray:
        """The picture at the stream's even size; an odd last row or column is cut off."""
        if (picture.shape[1], picture.shape[0]) != self._size:
            picture = cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA)
        picture = picture[: stream.height, : stream.width]
        missing = (stream.height - picture.shape[0], stream.width - picture.shape[1])
        if any(missing):
            picture = cv2.copyMakeBorder(picture, 0, missing[0], 0, missing[1], cv2.BORDER_REPLICATE)
        return np.ascontiguousarray(picture)

    def close(self) -> None:
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))
        self._container.close()
        if self._stream is not None:
            self._put_in_order()

    def _put_in_order(self) -> None:
        """The same pictures as one piece with the index at its front; the fragments stay when there is no room."""
        ordered = self._path.with_name(f".{self._path.name}")
        try:
            with (
                self._av.open(str(self._path)) as fragments,
                self._av.open(str(ordered), "w", format="mp4", options={"movflags": "+faststart"}) as whole,
            ):
                found = fragments.streams.video[0]
                stream = whole.add_stream_from_template(found)
                begin = found.start_time or 0  # fragments cannot say that decoding begins before time 0
                for packet in fragments.demux(found):
                    if packet.pts is not None and packet.dts is not None:  # the last one only says that it is the last
                        packet.pts -= begin
                        packet.dts -= begin
                        packet.stream = stream
                        whole.mux(packet)
            ordered.replace(self._path)
        except OSError:
            ordered.unlink(missing_ok=True)


class OverlayImages:
    """overlay/: one picture per image, under the image's own name."""

    def __init__(self, folder: Path):
        folder.mkdir()
        self._folder = folder

    def write(self, picture_bgr: np.ndarray, frame: Frame) -> None:
        """One picture (H, W, 3) uint8 of a Frame."""
        path = self._folder / frame.source
        if path.suffix.lower() not in (".jpg", ".jpeg", ".png"):
            path = path.with_name(path.name + ".png")
        # not imwrite: OpenCV dies of names that are not UTF-8
        _, encoded = cv2.imencode(path.suffix.lower(), picture_bgr, [cv2.IMWRITE_JPEG_QUALITY, 92])
        path.write_bytes(encoded.tobytes())

    def close(self) -> None:
        """Nothing is open between pictures."""
