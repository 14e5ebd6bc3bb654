from hpe_core.api.head_pose import HeadPose as HeadPose
from hpe_core.errors import HpeError as HpeError
from hpe_core.geometry.camera import CameraModel as CameraModel

__version__: str
