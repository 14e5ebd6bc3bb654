"""The camera behind the heads, for the size of faces in its image."""

from sensor_msgs.msg import CameraInfo

from hpe_core.errors import HpeError
from hpe_core.geometry.camera import CameraModel
from hpe_core.io.camera_info import camera_from_message, content_of


class NewestCamera:
    """Reads camera_info when it changes."""

    def __init__(self):
        self._content: tuple = ()
        self._camera: CameraModel | None = None

    def add(self, message: CameraInfo) -> str:
        """Take in a sensor_msgs/CameraInfo. Why it is of no use, when that is news; else an empty text."""
        content = (message.header.frame_id, *content_of(message))
        if content == self._content:
            return ""
        self._content, self._camera = content, None
        try:
            self._camera = camera_from_message(message)
        except HpeError as error:
            return str(error)
        return ""

    def of(self, frame_id: str) -> CameraModel | None:
        """CameraModel of a frame, or None when it is not known."""
        return self._camera if self._content[:1] == (frame_id,) else None
