from pathlib import Path

import pytest
from rosbags.rosbag2 import Reader, StoragePlugin, Writer

from hpe_core.io.bags import typestore

SAMPLE = Path(__file__).parents[4] / "assets" / "sample_bag"


@pytest.fixture
def bags(tmp_path):
    """bags(n, frames=2) -> folder with n bags of the first images of the sample, from another one on in each."""
    if not (SAMPLE / "metadata.yaml").exists():
        pytest.skip("assets/sample_bag is not there")

    def write(count, frames=2):
        with Reader(SAMPLE) as reader:
            messages = [
                (connection.topic, connection.msgtype, stamp, data)
                for connection, stamp, data in reader.messages()
                if connection.topic.startswith("/camera")
            ]
        images = [message for message in messages if message[1].endswith("Image")]
        info = next(message for message in messages if message[1].endswith("CameraInfo"))
        folder = tmp_path / "bags"
        folder.mkdir()
        for i in range(count):
            with Writer(folder / f"bag_{i:03d}", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
                connections = {}
                for topic, msgtype, stamp, data in [info, *images[i : i + frames]]:
                    if topic not in connections:
                        connections[topic] = writer.add_connection(topic, msgtype, typestore=typestore())
                    writer.write(connections[topic], stamp, bytes(data))
        return folder

    return write
