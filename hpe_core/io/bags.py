"""Images of a rosbag2 (MCAP or SQLite, whole or cut off) with their CameraInfo, read without ROS."""

import sqlite3
import tempfile
from collections import Counter
from contextlib import closing
from functools import lru_cache
from pathlib import Path, PurePath

from hpe_core.errors import HpeError
from hpe_core.io.camera_info import camera_from_message
from hpe_core.io.files import check_regular, plain_path
from hpe_core.io.mcap_scan import McapScan
from hpe_core.io.sources import BAG_SUFFIXES, DEFAULT_FRAME_ID, Frame, Source, natural_key
from hpe_core.io.unpack import unpack_file, unpack_message
from hpe_core.pixels.encodings import ENCODINGS, bgr_from_compressed, bgr_from_raw

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
BYTES_LOST = "bytes of the rosbag2 not readable"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


@lru_cache(maxsize=1)
def typestore():
    """Message types of ROS 2 Jazzy; those used here are the same from Galactic on."""
    from rosbags.typesys import Stores, get_typestore

    return get_typestore(Stores.ROS2_JAZZY)


class Bag:
    """Messages of a rosbag2 folder, a bare `.mcap` or a bare `.db3`.

    topics: dict topic -> message type; counts: Counter of readable messages; losses: Counter of reason -> count;
    notices: lines for the user. MCAP is read by McapScan, SQLite by rosbags.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.topics, self.counts = {}, Counter()
        self.losses, self.notices = Counter(), []
        self._readers, self._announced, self._unpacked = [], {}, None
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self):
        files = [self.path]
        if self.path.is_dir():
            metadata = self.path / "metadata.yaml"
            listed, self._announced = _metadata(metadata) if metadata.exists() else ([], {})
            missing = [name for name in listed if not (self.path / name).exists()]
            found = [child for child in self.path.iterdir() if child.suffix in BAG_SUFFIXES]
            files = sorted(found, key=lambda file: natural_key(file.name))
            if listed and not missing:
                files = [self.path / name for name in listed]
            if not files:
                reason = f"Some database files are missing: {', '.join(missing)}" if missing else "it is empty"
                raise HpeError(f"{self.path} is not a readable rosbag2: {reason}")
        for file in files:
            check_regular(file)
            self._add(file)

    def _add(self, file):
        if file.suffix == ".zstd":
            self._unpacked = self._unpacked or tempfile.TemporaryDirectory(prefix="hpe_")
            plain = Path(self._unpacked.name) / file.stem
            unpack_file(file, plain)
            return self._add(plain)
        if file.suffix == ".mcap":
            return self._add_scan(McapScan(file))
        _check_profiles(file)
        reader, reason = _open_reader(file)
        if reader is None:
            raise HpeError(f"{file} is not a readable rosbag2 file: {reason}")
        self._readers.append(reader)
        for connection in reader.connections:
            self.topics[connection.topic] = connection.msgtype
            self.counts[connection.topic] += connection.msgcount
        return None

    def _add_scan(self, scan):
        self._readers.append(scan)
        self.topics.update(scan.topics)
        self.counts.update(scan.counts)
        if scan.problem:
            readable = sum(scan.counts.values())
            self.losses[f"rosbag2 file {scan.problem}"] += 1
            if scan.lost_bytes:
                self.losses[BYTES_LOST] += scan.lost_bytes
            self.notices.append(
                f"{scan.path.name} {scan.problem}: {readable} messages are readable, {scan.lost_bytes} bytes are lost"
            )

    def messages(self, topics):
        """Iterator of (topic, message type, receive time in ns, CDR bytes) of the named topics.

        Leaves out the parts of a file that turn out damaged and counts what is missing in `losses`.
        """
        read, refused = Counter(), Counter()
        for reader in self._readers:
            try:
                for topic, msgtype, time_ns, data in _messages(reader, topics):
                    try:
                        plain = _plain(data)
                    except ValueError as error:
                        refused[topic] += 1
                        self._note(f"{self.path.name} has messages that cannot be unpacked: {error}")
                        continue
                    read[topic] += 1
                    yield topic, msgtype, time_ns, plain
            except Exception as error:  # rosbags lets sqlite, struct and its own errors through
                self.losses["rosbag2 file is damaged"] += 1
                self.notices.append(f"{self.path.name} is damaged after {sum(read.values())} messages: {_line(error)}")
            self._count_damage(reader)
        for topic in topics:
            if refused[topic]:
                self.losses[f"messages of {topic} that cannot be unpacked"] = refused[topic]
            missing = max(self.counts[topic], self._announced.get(topic, 0)) - read[topic] - refused[topic]
            if missing > 0:
                self.losses[f"messages of {topic} not readable"] = missing

    def _count_damage(self, reader):
        """What reading has shown of a file whose index was whole."""
        if isinstance(reader, McapScan) and reader.lost_bytes and not reader.problem:
            reader.problem = "is damaged"
            self.losses["rosbag2 file is damaged"] += 1
            self.losses[BYTES_LOST] += reader.lost_bytes
            self._note(f"{reader.path.name} is damaged: {reader.lost_bytes} bytes are lost, the rest is read")

    def _note(self, text):
        if text not in self.notices:
            self.notices.append(text)

    def first(self, topic):
        """The first message of a topic, or None when there is none or it cannot be read."""
        try:
            for reader in self._readers:
                for _, msgtype, _, data in _messages(reader, {topic}):
                    return typestore().deserialize_cdr(_plain(data), msgtype)
        except Exception:  # damage is counted when the messages are read in their turn
            return None
        return None

    def close(self):
        """Close the files."""
        for reader in self._readers:
            if not isinstance(reader, McapScan):
                reader.close()
        self._readers = []
        if self._unpacked is not None:
            self._unpacked.cleanup()
            self._unpacked = None


def bag_files(path: str | Path) -> list[Path]:
    """Paths of the files that are read of a rosbag2: itself, or those of its folder."""
    path = Path(path)
    if not path.is_dir():
        return [path]
    return [child for child in path.iterdir() if child.suffix in BAG_SUFFIXES or child.name == "metadata.yaml"]


def _check_profiles(path):
    """Raises HpeError when the quality of service of a topic, which rosbags reads as YAML, grows without measure."""
    from ruamel.yaml.error import YAMLError

    from hpe_core.io.yaml_file import check_aliases

    try:
        with plain_path(path) as name, closing(sqlite3.connect(f"file:{name}?immutable=1", uri=True)) as database:
            for (text,) in database.execute("SELECT offered_qos_profiles FROM topics"):
                check_aliases(str(text), f"{path}: offered_qos_profiles")
    except (sqlite3.Error, YAMLError):
        return  # what is no database, no YAML or of an old version is for rosbags to judge


def _open_reader(path):
    """An open rosbags Reader, or None and why not."""
    from rosbags.rosbag2 import Reader

    try:
        with plain_path(path) as name:
            reader = Reader(name)
            reader.open()
    except Exception as error:  # on damaged files: ReaderError, TypeError, struct.error, OSError, sqlite errors ...
        return None, _line(error)
    return reader, None


def _messages(reader, topics):
    if isinstance(reader, McapScan):
        yield from reader.messages(topics)
        return
    connections = [c for c in reader.connections if c.topic in topics]
    if connections:
        for connection, time_ns, data in reader.messages(connections):
            yield connection.topic, connection.msgtype, time_ns, data


def _plain(data):
    """CDR bytes, unpacked when they are single messages compressed by the recorder (a bare file does not say so).

    Raises ValueError when they cannot be unpacked."""
    return unpack_message(bytes(data)) if bytes(data[:4]) == _ZSTD_MAGIC else data


def _line(error):
    return (str(error).splitlines() or [type(error).__name__])[0]


def _metadata(path):
    """Names of the bag's files, and dict topic -> message count, as metadata.yaml says; empty when it does not."""
    from hpe_core.io.yaml_file import load_mapping

    try:
        info = load_mapping(path, "metadata")["rosbag2_bagfile_information"]
        counts = {
            str(topic["topic_metadata"]["name"]): int(topic["message_count"])
            for topic in info["topics_with_message_count"]
        }
        return [PurePath(name).name for name in info["relative_file_paths"]], counts
    except (HpeError, KeyError, TypeError, ValueError):
        return [], {}


def stamp_ns_of(stamp):
    """Nanoseconds of a builtin_interfaces/Time."""
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def _later(message, other):
    """Whether the header stamp of a message lies after that of the other."""
    return stamp_ns_of(message.header.stamp) > stamp_ns_of(other.header.stamp)


class BagSource(Source):
    """Images of one topic of a rosbag2; stamps and frame_id are those of the message headers.

    CameraInfo comes from `camera_info` beside the image topic, else from the only CameraInfo topic with the images'
    frame_id; it is followed as it changes.
    """

    kind = "bag"

    def __init__(self, path, topic=None):
        self._bag = Bag(path)
        try:
            self.topic = _image_topic(self._bag, topic)
            full = Path(path).resolve()
            super().__init__(full.name if full.is_dir() else full.stem, self._bag.counts[self.topic])
            self.losses, self.notices = self._bag.losses, self._bag.notices
            self.files = bag_files(path)
            self._info_topic = self._find_info_topic()
        except BaseException:
            self._bag.close()
            raise
        self._rectified = "rect" in _base(self.topic).rsplit("/", 1)[-1]
        self._info_key = self._camera = None
        others = [name for name in image_topics(self._bag) if name != self.topic]
        if others and topic is None:
            self._note(f"using image topic {self.topic}; the bag also has {', '.join(others)} (choose with --topic)")
        if self._info_topic is None:
            self._note(f"the bag has no CameraInfo for {self.topic}")

    @property
    def transport(self):
        """image_transport's name for what the topic carries."""
        return "compressed" if self._bag.topics[self.topic] == COMPRESSED else "raw"

    @property
    def info_topic(self):
        """The CameraInfo topic that belongs to the images, None when there is none."""
        return self._info_topic

    def close(self):
        self._bag.close()

    def __iter__(self):
        """Frames in the bag's order. An image waits for the CameraInfo of its own stamp until the next image."""
        if self._info_topic:
            self._take_info(self._bag.first(self._info_topic))  # for images that come before it
        waiting, index = None, 0
        for topic, msgtype, time_ns, data in self._bag.messages({self.topic, self._info_topic} - {None}):
            message = _decoded(data, msgtype)
            if topic == self._info_topic:
                if waiting and message and _later(message, waiting[0]):  # it is the next image's
                    yield self._frame(*waiting)
                    waiting = None
                self._take_info(message)
                if waiting and message and message.header.stamp == waiting[0].header.stamp:
                    yield self._frame(*waiting)
                    waiting = None
                continue
            if waiting:
                yield self._frame(*waiting)
            waiting = (message, time_ns, index) if message else None
            if message is None:
                yield Frame(None, time_ns, DEFAULT_FRAME_ID, index, self.topic, error="the message is damaged")
            index += 1
        if waiting:
            yield self._frame(*waiting)

    def _note(self, text):
        if text not in self.notices:
            self.notices.append(text)

    def _find_info_topic(self):
        topics, counts = self._bag.topics, self._bag.counts
        infos = [name for name, msgtype in topics.items() if msgtype == CAMERA_INFO and counts[name]]
        beside = _base(self.topic).rsplit("/", 1)[0] + "/camera_info"
        if beside in infos:
            return beside
        image = self._bag.first(self.topic)
        frame_id = image.header.frame_id if image else None
        firsts = {name: self._bag.first(name) for name in infos}
        same = [name for name, info in firsts.items() if info and info.header.frame_id == frame_id]
        return same[0] if len(same) == 1 else None

    def _take_info(self, info):
        """Follow the CameraInfo; build the camera only when something in it has changed."""
        if info is None:
            return
        roi = info.roi
        numbers = (info.width, info.height, *info.k, *info.d, *info.p, info.binning_x, info.binning_y)
        key = (*numbers, info.distortion_model, roi.x_offset, roi.y_offset, roi.width, roi.height)
        if key == self._info_key:
            return
        self._info_key = key
        try:
            self._camera = camera_from_message(info, self._rectified)
        except HpeError as error:
            self._camera = None
            self._note(f"{self._info_topic} cannot be used: {error}")

    def _frame(self, message, time_ns, index):
        image = error = None
        try:
            if hasattr(message, "encoding"):
                fields = (message.height, message.width, message.encoding, message.step, message.is_bigendian)
                image = bgr_from_raw(message.data, *fields)
            else:
                image = bgr_from_compressed(message.data)
        except HpeError as reason:
            if index == 0 and hasattr(message, "encoding") and message.encoding not in ENCODINGS:
                raise HpeError(f"{self.topic}: {reason}") from reason
            error = str(reason)
        stamp_ns = stamp_ns_of(message.header.stamp)
        if stamp_ns == 0:
            stamp_ns = time_ns
            self._note(f"{self.topic} has headers without a stamp: the time of recording is taken")
        frame_id = message.header.frame_id or DEFAULT_FRAME_ID
        return Frame(image, stamp_ns, frame_id, index, self.topic, self._camera, error)


def _decoded(data, msgtype):
    """The message, or None when its bytes are damaged."""
    try:
        return typestore().deserialize_cdr(data, msgtype)
    except Exception:  # generated code lets struct, index, key and unicode errors through
        return None


def _base(topic):
    """The topic name without the transport: /cam/image_raw/compressed -> /cam/image_raw."""
    return topic.removesuffix("/compressed")


def image_topics(bag):
    """Image topics, those with messages first; depth images are no pictures and come last."""
    names = [
        name
        for name, msgtype in bag.topics.items()
        if msgtype in (IMAGE, COMPRESSED) and not name.endswith("/compressedDepth")
    ]
    return sorted(names, key=lambda name: (not bag.counts[name], "depth" in name, bag.topics[name] != IMAGE))


def _image_topic(bag, wanted):
    """The image topic to read. Raises HpeError, listing what the bag has, when there is none or not the wanted."""
    images = image_topics(bag)
    has = ", ".join(f"{name} ({msgtype})" for name, msgtype in sorted(bag.topics.items())) or "no messages at all"
    if wanted is not None:
        for name in (wanted, f"/{wanted.lstrip('/')}"):
            if name in images:
                return name
        raise HpeError(f"{bag.path} has no image topic {wanted}; it has: {has}")
    if not images:
        raise HpeError(f"{bag.path} has no image topic; it has: {has}")
    return images[0]
