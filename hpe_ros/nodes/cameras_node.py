"""The node `cameras_node`: one process with a pose node per camera, which share one loaded model."""

from geometry_msgs.msg import TransformStamped
from tf2_ros import StaticTransformBroadcaster

from hpe_core.people.camera_list import CameraList, read_camera_list
from hpe_core.pipeline.shared_models import SharedModels
from hpe_ros import lifecycle, parameters
from hpe_ros.cameras.pose_thread import PoseThread
from hpe_ros.cameras.static_tf import camera_transform
from hpe_ros.health_topic import HealthTopic
from hpe_ros.node_config import CAMERAS_NODE_GROUPS, CamerasNodeConfig
from hpe_ros.status import Level, Status


class CamerasNode(lifecycle.PlainNode):
    """Holds the pose nodes and publishes the extrinsics that the list gives, from its making to `release`.

    A list or a parameter that is wrong raises HpeError.
    """

    def __init__(self):
        super().__init__("cameras_node")
        parameters.declare(self, CAMERAS_NODE_GROUPS, locked=lambda: True)
        config = parameters.read(self, CamerasNodeConfig)
        cameras = read_camera_list(config.cameras_file)
        values = {"autostart": config.autostart, "use_sim_time": self.get_parameter("use_sim_time").value}
        self._extrinsics = StaticTransformBroadcaster(self)
        self._extrinsics.sendTransform(self._transforms(cameras))
        models, namespace = SharedModels(), self.get_namespace().rstrip("/")
        self._threads: list[PoseThread] = []
        try:
            for camera in cameras.cameras:
                self._threads.append(PoseThread(camera, namespace, config.pose_params_file, values, models))
        except BaseException:
            self.release()
            raise
        self._health_topic = HealthTopic(self, self._statuses)
        for thread in self._threads:
            thread.start()
        self.get_logger().info(f"cameras {', '.join(camera.name for camera in cameras.cameras)}")

    def _transforms(self, cameras: CameraList) -> list[TransformStamped]:
        stamp = self.get_clock().now().to_msg()
        return [camera_transform(camera, stamp) for camera in cameras.cameras if camera.place is not None]

    def release(self) -> None:
        """End every camera; harmless the second time."""
        for thread in self._threads:
            thread.stop()

    def _statuses(self):
        values = {f"callbacks failed, {thread.camera.name}": thread.failures for thread in self._threads}
        idle = [thread.camera.name for thread in self._threads if not thread.active]
        level: Level = "warn" if idle else "ok"
        return [Status("cameras", level, f"not active: {', '.join(idle)}" if idle else "all active", values)]


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `cameras_node`."""
    return lifecycle.run(CamerasNode, args)


if __name__ == "__main__":
    raise SystemExit(main())
