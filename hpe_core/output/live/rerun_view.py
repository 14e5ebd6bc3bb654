"""A run in the Rerun viewer: image, 3D scene, angles with their 95 % bands and latency; live, in a file, or both."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hpe_core.errors import HpeError
from hpe_core.face_id import FaceId
from hpe_core.geometry import frames
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.gaze import GAZE_HEAD
from hpe_core.geometry.head import HEAD_BOX_CENTRE_FACE_M, HEAD_BOX_SIZE_M
from hpe_core.io.frame import Frame
from hpe_core.output.annotations import AXIS_LENGTH_M, image_annotations
from hpe_core.output.bands import angle_bands_deg, ellipsoid_95
from hpe_core.output.live.rerun_viewer import Viewer
from hpe_core.types import Face, FrameResult

JPEG_QUALITY = 80
GAZE_RAY_M = 0.5
CLOSE_S = 30.0  # at most, for what is still on its way to the viewer when the run ends
ANGLES = ("yaw", "pitch", "roll")
_ABSOLUTE_NS = 10**17  # stamps from here on, 3 years, are times of day
_IMAGE_PLANE_M = 0.25  # how far from the camera the scene shows the image
_AXES_RGB = ((255, 60, 60), (80, 220, 80), (60, 140, 255))
_WHITE = (255, 255, 255)


class RerunView:
    """Sends every frame to a viewer of its own (`live`), to the file `save` (.rrd), or to both.

    Timelines: `frame` and `time` (the stamps). Entities: camera/image with what is drawn on it; heads/<id>: head, axes,
    gaze ray, landmarks, and the ellipsoid that holds the position with 95 %; angles/<angle>/<id>; latency/<stage>.
    notices: lines for the user. Raises HpeError without the package rerun-sdk, without a screen for `live`, or when
    `save` cannot be written.
    """

    def __init__(self, live: bool, save: Path | None, name: str):
        """name: of the recording, as the viewer lists it."""
        try:
            import rerun
        except ImportError as error:
            raise HpeError("--view and --save need the package 'rerun-sdk' (pip install 'hpe_ros[view]')") from error
        self._rr: Any = rerun  # an extra: its types are not there everywhere
        self._viewer = Viewer() if live else None
        self._saves = save is not None
        self.notices: list[str] = []
        self._ids: set[str] = set()  # in the last frame
        self._styled: set[str] = set()
        self._camera: CameraModel | None = None
        self._recording = self._rr.RecordingStream("hpe")
        sinks: list[Any] = [self._rr.GrpcSink(self._viewer.url)] if self._viewer else []
        try:
            sinks += [self._rr.FileSink(save)] if save else []
            self._recording.set_sinks(*sinks, default_blueprint=_blueprint())
        except Exception as error:  # rerun raises RuntimeError, ValueError and OSError alike
            self._end_viewer()
            raise HpeError(f"{save} cannot be written: {error}") from error
        self._recording.send_recording_name(name)
        self._log("/", self._rr.ViewCoordinates.RDF, static=True)  # the camera optical frame

    def show(
        self, frame: Frame, image_bgr: np.ndarray, camera: CameraModel, result: FrameResult, total_s: float
    ) -> None:
        """One Frame, its image (H, W, 3) uint8, CameraModel and FrameResult; total_s: seconds from image to pose."""
        if self._viewer and not self._viewer.open:
            self.notices = ["the Rerun viewer was closed; the run goes on"]
            if not self._saves:
                return
        self._recording.set_time("frame", sequence=frame.index)
        if frame.stamp_ns >= _ABSOLUTE_NS:
            self._recording.set_time("time", timestamp=np.datetime64(frame.stamp_ns, "ns"))
        else:
            self._recording.set_time("time", duration=np.timedelta64(frame.stamp_ns, "ns"))
        self._show_image(image_bgr, camera)
        self._show_annotations(camera, result.faces)
        for face in result.faces:
            self._show_head(f"heads/{_name(face)}", face)
            self._show_angles(face)
        ids = {_name(face) for face in result.faces}
        for gone in self._ids - ids:
            for path in (f"heads/{gone}", *(f"angles/{angle}/{gone}" for angle in ANGLES)):
                self._log(path, self._rr.Clear(recursive=True))
        self._ids = ids
        for stage, seconds in {"image_to_pose": total_s, **result.stage_s}.items():
            self._log(f"latency/{stage}", self._rr.Scalars(seconds * 1e3))

    def close(self) -> None:
        """Bring everything to its place. The viewer stays open, unless it has nothing to show."""
        if self._viewer is None or self._viewer.open:
            self._recording.flush(timeout_sec=CLOSE_S)
        self._recording.disconnect()
        if self._camera is None:
            self._end_viewer()

    def _log(self, path: str, *what: Any, static: bool = False) -> None:
        self._recording.log(path, *what, static=static)

    def _end_viewer(self) -> None:
        if self._viewer:
            self._viewer.close()

    def _show_image(self, image_bgr: np.ndarray, camera: CameraModel) -> None:
        if camera is not self._camera:
            self._camera = camera
            pinhole = self._rr.Pinhole(
                image_from_camera=camera.K,
                resolution=(camera.width, camera.height),
                camera_xyz=self._rr.ViewCoordinates.RDF,
                image_plane_distance=_IMAGE_PLANE_M,
            )
            self._log("camera/image", pinhole)
        _, encoded = cv2.imencode(".jpg", image_bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        self._log("camera/image", self._rr.EncodedImage(contents=encoded.tobytes(), media_type="image/jpeg"))

    def _show_annotations(self, camera: CameraModel, faces: Sequence[Face]) -> None:
        """Boxes, axes, landmarks and texts on the image."""
        rr, drawn = self._rr, image_annotations(camera, faces)
        boxes = [one for one in drawn.points if one.kind == "line_loop"]
        corners = np.array([one.points_px for one in boxes]).reshape(-1, 4, 2)
        texts = [text.text for text in drawn.texts]
        colours = [one.colours[0] for one in boxes]
        sizes = corners[:, 2] - corners[:, 0]
        self._log(
            "camera/image/boxes", rr.Boxes2D(mins=corners[:, 0], sizes=sizes, colors=colours, labels=texts or None)
        )
        lines = [one for one in drawn.points if one.kind == "line_list"]
        pairs = [pair for one in lines for pair in np.array(one.points_px).reshape(-1, 2, 2)]
        axes = [colour for one in lines for colour in one.colours]
        self._log("camera/image/axes", rr.LineStrips2D(pairs, colors=axes, radii=1.5))
        dots = [one for one in drawn.points if one.kind == "points"]
        points = [point for one in dots for point in one.points_px]
        shades = [one.colours[0] for one in dots for _ in one.points_px]
        self._log("camera/image/landmarks", rr.Points2D(points, colors=shades, radii=1.0))

    def _show_head(self, path: str, face: Face) -> None:
        rr, pose, colour = self._rr, face.pose, _colour(face)
        origin_m, R_camera_face = pose.t_camera_head_m, frames.face_from_head(pose.R_camera_head)
        head = rr.Ellipsoids3D(
            half_sizes=[HEAD_BOX_SIZE_M / 2.0],
            centers=[origin_m + R_camera_face @ HEAD_BOX_CENTRE_FACE_M],
            quaternions=[pose.quat_camera_face],
            colors=[colour],
            labels=[f"{_name(face)} {np.linalg.norm(origin_m):.2f} m"],
        )
        self._log(f"{path}/head", head)
        axes = rr.Arrows3D(origins=3 * [origin_m], vectors=AXIS_LENGTH_M * R_camera_face.T, colors=_AXES_RGB)
        self._log(f"{path}/axes", axes)
        ray = GAZE_RAY_M * pose.R_camera_head @ GAZE_HEAD
        self._log(f"{path}/gaze", rr.Arrows3D(origins=[origin_m], vectors=[ray], colors=[colour]))
        points_m = face.landmarks_camera_m
        if points_m is not None:
            self._log(f"{path}/landmarks", rr.Points3D(points_m, colors=_WHITE, radii=0.0015))
        if pose.covariance is not None:
            half_sizes_m, quat = ellipsoid_95(pose.covariance[:3, :3])
            ellipsoid = rr.Ellipsoids3D(
                half_sizes=[half_sizes_m], centers=[origin_m], quaternions=[quat], colors=[_WHITE]
            )
            self._log(f"{path}/uncertainty", ellipsoid)

    def _show_angles(self, face: Face) -> None:
        bands = angle_bands_deg(face.pose)
        for angle, band in zip(ANGLES, bands.tolist(), strict=True):
            path = f"angles/{angle}/{_name(face)}"
            if path not in self._styled:
                self._styled.add(path)
                names = [_name(face), "95 % low", "95 % high"]
                style = self._rr.SeriesLines(colors=3 * [_colour(face)], widths=[2.0, 0.5, 0.5], names=names)
                self._log(path, style, static=True)
            self._log(path, self._rr.Scalars(band))


def _name(face: Face) -> str:
    return str(face.face_id or "face")


def _colour(face: Face) -> tuple[int, int, int]:
    return FaceId(face.face_id).colour_rgb if face.face_id else _WHITE


def _blueprint() -> Any:
    """rerun.blueprint.Blueprint: image and scene on the left, series on the right."""
    import rerun.blueprint as rrb

    image = rrb.Spatial2DView(origin="/camera/image", name="image")
    # from the right behind the camera, whose y points down
    eye = rrb.EyeControls3D(position=(0.8, -0.4, -0.5), look_target=(0.0, 0.0, 0.6), eye_up=(0.0, -1.0, 0.0))
    contents = ["/camera/**", "/heads/**"]
    scene = rrb.Spatial3DView(origin="/", name="scene", contents=contents, eye_controls=eye)
    angles = [rrb.TimeSeriesView(origin=f"/angles/{angle}", name=f"{angle}, degrees") for angle in ANGLES]
    latency = rrb.TimeSeriesView(origin="/latency", name="latency, ms")
    return rrb.Blueprint(
        rrb.Horizontal(rrb.Vertical(image, scene), rrb.Vertical(*angles, latency), column_shares=[3, 2]),
        collapse_panels=True,
    )
