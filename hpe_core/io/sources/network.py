"""Images of a network camera, by its address."""

import re
from urllib.parse import urlsplit

import cv2

from hpe_core.errors import HpeError
from hpe_core.io.frame import refuse_topic
from hpe_core.io.sources.camera import CameraSource

SCHEMES = ("rtsp", "rtsps", "rtmp", "http", "https", "udp", "tcp")
TIMEOUT_MS = 10_000
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_USER = re.compile(r"(?<=://)[^/?#]*@")


class NetworkSource(CameraSource):
    """A stream by its address; like a camera its stamps are the time of arrival. A user and a password in the address
    go to nobody but the camera.
    """

    def __init__(self, address: str):
        timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, TIMEOUT_MS]
        name = re.sub(r"[^A-Za-z0-9]+", "_", f"{_host(address)}").strip("_")
        self._take(cv2.VideoCapture(address, cv2.CAP_FFMPEG, timeouts), name or "stream", without_password(address))


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def without_password(text: str) -> str:
    """A source as it may be shown: of an address without user and password."""
    return _USER.sub("", text)


def is_address(text: str) -> bool:
    """Whether a text is an address, of whatever scheme."""
    return _ADDRESS.fullmatch(text) is not None


def opened(text: str, topic: str | None) -> NetworkSource | None:
    """The stream of an address, None for other text. Raises HpeError for a scheme that is not one of SCHEMES."""
    found = _ADDRESS.fullmatch(text)
    if not found:
        return None
    scheme = found[1].lower()
    if scheme not in SCHEMES:
        raise HpeError(f"an address must begin with {', '.join(f'{one}://' for one in SCHEMES)}, got {scheme}://")
    refuse_topic(topic, "an address")
    return NetworkSource(text)
