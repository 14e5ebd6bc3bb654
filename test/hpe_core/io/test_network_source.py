import http.server
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from hpe_core.cli.main import main
from hpe_core.errors import HpeError
from hpe_core.io.sources import open_source
from hpe_core.io.sources.network import without_password

FRAMES = 20
# a camera that sends its pictures to whoever listens; H.264 by RTP within RTSP
CAMERA = """
import sys, time
import av, numpy as np
for attempt in range(200):
    try:
        container = av.open(sys.argv[1], "w", format="rtsp", options={"rtsp_transport": "tcp"})
        stream = container.add_stream("libx264", rate=10, options={"tune": "zerolatency", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
        break
    except OSError:
        time.sleep(0.05)
for i in range(int(sys.argv[2])):
    picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 10 * i, np.uint8), format="bgr24")
    container.mux(stream.encode(picture))
container.mux(stream.encode())
container.close()
"""
LISTENER = """
import sys
from hpe_core.io.sources import open_source
with open_source(sys.argv[1]) as source:
    print(source.kind, source.name)
    stamps = []
    for frame in source:
        stamps.append(frame.stamp_ns)
        print(frame.index, *frame.image_bgr.shape, round(frame.image_bgr.mean()))
assert stamps == sorted(stamps)
"""


def free_port():
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        return server.server_address[1]


def test_an_rtsp_camera_is_read_frame_by_frame(monkeypatch):
    """FFmpeg listens for the camera, since there is no RTSP server here that it could ask."""
    monkeypatch.setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_flags;listen|listen_timeout;30")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    address = f"rtsp://127.0.0.1:{free_port()}/live"
    camera = subprocess.Popen([sys.executable, "-c", CAMERA, address, str(FRAMES)])
    listener = [sys.executable, "-c", LISTENER, address.replace("//", "//user:secret@")]
    done = subprocess.run(listener, capture_output=True, text=True)
    assert camera.wait() == 0 and done.returncode == 0, done.stderr
    first, *lines = done.stdout.splitlines()
    assert first == "camera 127_0_0_1" and len(lines) >= FRAMES - 2
    values = [list(map(int, line.split())) for line in lines]
    assert all(value[1:4] == [48, 64, 3] for value in values)
    assert [value[4] for value in values] == sorted(value[4] for value in values)


class Motion(http.server.BaseHTTPRequestHandler):
    """Three JPEGs as a network camera streams them (multipart/x-mixed-replace)."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for value in (50, 100, 150):
            data = cv2.imencode(".jpg", np.full((48, 64, 3), value, np.uint8))[1].tobytes()
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n".encode()
            self.wfile.write(head + data + b"\r\n")

    def log_message(self, *args):
        pass


@pytest.fixture
def camera():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Motion) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://me:secret@127.0.0.1:{server.server_address[1]}/video.mjpg"
        server.shutdown()
        thread.join()


def test_an_http_camera_is_read(camera):
    with open_source(camera) as source:
        means = [round(frame.image_bgr.mean()) for frame in source]
    assert means == [50, 100, 150]
    assert source.losses["the camera stopped delivering images"] == 1


def test_a_password_in_an_address_is_written_nowhere(camera, tmp_path, capfd):
    assert main(["run", camera, "--out", str(tmp_path / "out"), "--model", "head6dof_int8", "--no-overlay"]) == 0
    written = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    told = "".join(capfd.readouterr())
    assert b"video.mjpg" in written and b"secret" not in written and "secret" not in told


def test_an_address_that_does_not_answer_is_told_without_its_password():
    with pytest.raises(HpeError) as raised:
        open_source(f"rtsp://me:secret@127.0.0.1:{free_port()}/live")
    assert str(raised.value).endswith("/live cannot be opened") and "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "text, words",
    [
        ("file:///etc/passwd", "got file://"),
        ("concat://a.mp4", "an address must begin with rtsp://, rtsps://, rtmp://, http://, https://, udp://, tcp://"),
        ("rtsp://[::1", "cannot be opened"),
    ],
)
def test_an_address_of_another_kind_is_refused(text, words):
    with pytest.raises(HpeError, match=words):
        open_source(text)


def test_an_address_has_no_topic():
    with pytest.raises(HpeError, match="--topic /image needs a rosbag2, got an address"):
        open_source("rtsp://127.0.0.1/live", "/image")


def test_only_user_and_password_go():
    assert without_password("rtsp://me:se@cret@host:554/a@b") == "rtsp://host:554/a@b"
    assert without_password("rtsp://host/a@b") == "rtsp://host/a@b"
    assert without_password("/videos/me@home.mp4") == "/videos/me@home.mp4"
