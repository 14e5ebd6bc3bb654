"""Where images come from: camera, network stream, rosbag2, images, video. All look the same from outside."""

from pathlib import Path

from hpe_core.errors import HpeError
from hpe_core.io.frame import Source
from hpe_core.io.sources import bag, camera, images, network, video

# each gives its Source, or None when the text names none of its kind; asked in this order, a video takes what is left
KINDS = (camera.opened, network.opened, bag.opened, images.opened, video.opened)


def open_source(text: str, topic: str | None = None) -> Source:
    """The Source that `text` names: a camera index, an rtsp:// address, or the path of a video, an image, a folder of
    images, a rosbag2, or a pattern of images.

    topic: image topic of a bag; refused for anything else. Raises HpeError when there is no such source.
    """
    try:
        Path(text).exists()
    except (OSError, ValueError) as error:  # e.g. a name that is too long, or holds a NUL
        raise HpeError(f"{text[:200]!r} cannot be a file name: {error}") from error
    for opened in KINDS:
        source = opened(text, topic)
        if source is not None:
            return source
    raise HpeError(f"{text} does not exist")
