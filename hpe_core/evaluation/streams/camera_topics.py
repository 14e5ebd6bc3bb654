"""Which topics of a bag a pose node needs, as JSON on one line.

    python -m hpe_core.evaluation.streams.camera_topics BAG [TOPIC]

The launch file asks this way, since `ros2 launch` may run under an interpreter that lacks our packages.
"""

import json
import sys

from hpe_core.errors import HpeError
from hpe_core.io.sources.bag import BagSource


def camera_topics(bag_path: str, topic: str | None = None) -> dict[str, str]:
    """dict image, image_transport, camera_info of a bag's image topic (the only one, or the first)."""
    with BagSource(bag_path, topic) as source:
        return {
            "image": source.topic,
            "image_transport": source.transport,
            "camera_info": source.info_topic or "camera_info",
        }


if __name__ == "__main__":
    try:
        print(json.dumps(camera_topics(*sys.argv[1:])))
    except HpeError as error:
        sys.exit(f"hpe: error: {error}")
