"""What only the nodes are configured with, beside the configuration of the core. No ROS needed."""

from dataclasses import dataclass

from hpe_core.attention.config import AttentionConfig
from hpe_core.attention.targets import parse_targets
from hpe_core.config import Checked, EstimatorConfig, TrackerConfig, option
from hpe_core.errors import HpeError
from hpe_core.output.choices import DEFAULT_PARTS, MESHES, PARTS, checked
from hpe_core.people.config import PeopleConfig

IMAGE_TRANSPORTS = ("raw", "compressed")


@dataclass(frozen=True)
class NodeConfig(Checked):
    """What only the pose node needs."""

    autostart: bool = option(
        False, "configure and activate at start, without waiting for a lifecycle manager", read_only=True
    )
    image_transport: str = option(
        "raw", "raw subscribes to `image`, compressed to `image/compressed`", choices=IMAGE_TRANSPORTS
    )
    reliability: str = option("best_effort", "QoS of `image` and `camera_info`", choices=("best_effort", "reliable"))
    image_is_rectified: bool = option(False, "images are undistorted: P of camera_info counts, not K and D")
    hfov_deg: float = option(60.0, "horizontal field of view assumed without a valid camera_info", 1.0, 179.0)
    camera_info_wait_s: float = option(
        2.0, "how long (by image stamps) frames are dropped before the assumed field of view is used", 0.0, 60.0
    )
    use_depth: bool = option(
        False, "listen to `depth` and `depth_camera_info`: ranges of faces come from depth images, too"
    )
    depth_transport: str = option(
        "raw",
        "raw subscribes to `depth`, compressedDepth to `depth/compressedDepth`",
        choices=("raw", "compressedDepth"),
    )
    depth_tolerance_s: float = option(
        0.02, "a depth image whose stamp is further from the image's does not count, seconds", 0.0, 1.0
    )
    depth_wait_s: float = option(
        0.02, "how long an image with faces waits for its depth image while these keep coming, seconds", 0.0, 1.0
    )
    max_rate_hz: float = option(
        0.0, "most images processed in a second, by their stamps; 0 processes all", 0.0, 1000.0, at_run_time=True
    )
    overlay: bool = option(True, "draw `overlay` while somebody subscribes", at_run_time=True)
    overlay_parts: tuple[str, ...] = option(
        DEFAULT_PARTS, f"what `overlay` shows, of {', '.join(PARTS)}; {', '.join(MESHES)} need a model such as dense"
    )
    blur_faces: bool = option(
        False,
        "make heads unrecognisable in `overlay` and publish no face pictures; a new face is found up to "
        "detection_interval_s late, a small one up to small_faces_interval_s",
        at_run_time=True,
    )
    publish_tf: bool = option(True, "publish face_<id> and gaze_<id> on /tf")
    tf_names: str = option(
        "auto",
        "id: frames are named by the face's id as in REP-155, each name used once; slot: by names that are used again, "
        "face_a the first, so that tf2 remembers few; auto: id where hri_msgs is installed, else slot",
        choices=("auto", "id", "slot"),
    )
    tf_prefix: str = option(
        "", "put before the ids in names of TF and REP-155 (face_<prefix><id>), so that several cameras can share them"
    )
    publish_humans: bool = option(True, "publish REP-155 topics below /humans/faces where hri_msgs is installed")

    def __post_init__(self) -> None:
        transport = self.image_transport
        if isinstance(transport, str) and transport not in IMAGE_TRANSPORTS:
            raise HpeError(
                f"image_transport must be one of {', '.join(IMAGE_TRANSPORTS)}, got {transport!r}; for another one let "
                f"image_transport's republish turn it into raw images: docs/ros.md, Image transports"
            )
        super().__post_init__()
        checked(self.overlay_parts, PARTS, "overlay_parts")


@dataclass(frozen=True)
class AttentionNodeConfig(Checked):
    """What only the attention node needs. Raises HpeError when a target is not written as one."""

    autostart: bool = option(
        False, "configure and activate at start, without waiting for a lifecycle manager", read_only=True
    )
    targets: tuple[str, ...] = option(
        ("camera",), "targets of attention, each `NAME [frame=FRAME] [point=X,Y,Z] [radius=R]`, metres"
    )
    tf_tolerance_s: float = option(
        0.5, "a transform further than this from the stamp of the heads does not count, seconds", 0.0, 60.0
    )
    input_timeout_s: float = option(
        2.0, "without `heads` for so long (by a steady clock) all looking stops, seconds", 0.1, 60.0
    )
    publish_tf: bool = option(True, "publish focus_<id> on /tf")
    tf_prefix: str = option("", "put before the ids in names of TF, as in the pose node")

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_targets(self.targets)


@dataclass(frozen=True)
class PeopleNodeConfig(Checked):
    """What only the people node needs."""

    autostart: bool = option(
        False, "configure and activate at start, without waiting for a lifecycle manager", read_only=True
    )
    cameras_file: str = option("", "YAML list of the cameras (docs/cameras.md)")
    tf_tolerance_s: float = option(
        0.5, "a transform further than this from the stamp of the heads does not count, seconds", 0.0, 60.0
    )
    input_timeout_s: float = option(
        2.0, "without `heads` of any camera for so long (by a steady clock) nobody is there, seconds", 0.1, 60.0
    )
    publish_tf: bool = option(True, "publish person_<id> on /tf")
    tf_prefix: str = option("", "put before the ids in names of TF")
    publish_humans: bool = option(True, "publish REP-155 topics below /humans/persons where hri_msgs is installed")


@dataclass(frozen=True)
class CamerasNodeConfig(Checked):
    """The process of several cameras: what is common to its pose nodes."""

    autostart: bool = option(False, "configure and activate every pose node at start", read_only=True)
    cameras_file: str = option("", "YAML list of the cameras (docs/cameras.md)", read_only=True)
    pose_params_file: str = option(
        "", "YAML file with the parameters of every pose node; empty: defaults", read_only=True
    )


@dataclass(frozen=True)
class CameraNodeConfig(Checked):
    """The camera node for a quick try."""

    device: str = option(
        "0", "camera index, /dev/video<index>, or a file or folder that `hpe run` can read", read_only=True
    )
    camera_info_url: str = option(
        "", "calibration: path or file:// URL of a camera_info YAML; empty: none", read_only=True
    )
    camera_hfov_deg: float = option(
        0.0,
        "without a calibration: horizontal field of view; 0: camera_info says uncalibrated (K = 0)",
        0.0,
        179.0,
        read_only=True,
    )
    frame_id: str = option("camera_optical_frame", "frame of the images; a bag's own frame counts more", read_only=True)
    loop: bool = option(True, "play a file over and over", read_only=True)


POSE_NODE_GROUPS = (NodeConfig, EstimatorConfig, TrackerConfig)
ATTENTION_NODE_GROUPS = (AttentionNodeConfig, AttentionConfig)
CAMERA_NODE_GROUPS = (CameraNodeConfig,)
PEOPLE_NODE_GROUPS = (PeopleNodeConfig, PeopleConfig)
CAMERAS_NODE_GROUPS = (CamerasNodeConfig,)
