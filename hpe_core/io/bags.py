"""Messages of a rosbag2 (MCAP or SQLite, whole or cut off), read without ROS."""

import sqlite3
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import closing
from functools import lru_cache
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Protocol

from hpe_core.errors import HpeError
from hpe_core.io.files import check_regular, natural_key, plain_path
from hpe_core.io.mcap_scan import McapScan
from hpe_core.io.unpack import unpack_file, unpack_message
from hpe_core.io.yaml_file import check_aliases, load_mapping

if TYPE_CHECKING:  # loaded on first use: reading MCAP does without
    from rosbags.rosbag2 import Reader
    from rosbags.typesys.store import Typestore

BAG_SUFFIXES = (".mcap", ".db3")
IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
BYTES_LOST = "bytes of the rosbag2 not readable"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class Stamp(Protocol):
    """builtin_interfaces/Time."""

    sec: int
    nanosec: int


@lru_cache(maxsize=1)
def typestore() -> "Typestore":
    """Message types of ROS 2 Jazzy; those used here are the same from Galactic on."""
    from rosbags.typesys import Stores, get_typestore

    return get_typestore(Stores.ROS2_JAZZY)


class Bag:
    """Messages of a rosbag2 folder, a bare `.mcap` or a bare `.db3`.

    topics: dict topic -> message type; counts: Counter of readable messages; losses: Counter of reason -> count;
    notices: lines for the user. MCAP is read by McapScan, SQLite by rosbags.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.topics: dict[str, str] = {}
        self.counts: Counter[str] = Counter()
        self.losses: Counter[str] = Counter()
        self.notices: list[str] = []
        self._readers: list[McapScan | Reader] = []
        self._announced: dict[str, int] = {}
        self._unpacked: tempfile.TemporaryDirectory | None = None
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
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

    def _add(self, file: Path) -> None:
        if file.suffix == ".zstd":
            self._unpacked = self._unpacked or tempfile.TemporaryDirectory(prefix="hpe_")
            plain = Path(self._unpacked.name) / file.stem
            unpack_file(file, plain)
            self._add(plain)
        elif file.suffix == ".mcap":
            self._add_scan(McapScan(file))
        else:
            self._add_sqlite(file)

    def _add_sqlite(self, file: Path) -> None:
        _check_profiles(file)
        reader, reason = _open_reader(file)
        if reader is None:
            raise HpeError(f"{file} is not a readable rosbag2 file: {reason}")
        self._readers.append(reader)
        for connection in reader.connections:
            self.topics[connection.topic] = connection.msgtype
            self.counts[connection.topic] += connection.msgcount

    def _add_scan(self, scan: McapScan) -> None:
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

    def messages(self, topics: Collection[str]) -> Iterator[tuple[str, str, int, bytes]]:
        """Iterator of (topic, message type, receive time in ns, CDR bytes) of the named topics.

        Leaves out the parts of a file that turn out damaged and counts what is missing in `losses`.
        """
        read: Counter[str] = Counter()
        refused: Counter[str] = Counter()
        for reader in self._readers:
            try:
                for topic, msgtype, time_ns, data in _messages(reader, topics):
                    try:
                        plain = _plain(data)
                    except ValueError as error:
                        refused[topic] += 1
                        self.note(f"{self.path.name} has messages that cannot be unpacked: {error}")
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

    def _count_damage(self, reader: "McapScan | Reader") -> None:
        """What reading has shown of a file whose index was whole."""
        if isinstance(reader, McapScan) and reader.lost_bytes and not reader.problem:
            reader.problem = "is damaged"
            self.losses["rosbag2 file is damaged"] += 1
            self.losses[BYTES_LOST] += reader.lost_bytes
            self.note(f"{reader.path.name} is damaged: {reader.lost_bytes} bytes are lost, the rest is read")

    def note(self, text: str) -> None:
        """A line for the user, once."""
        if text not in self.notices:
            self.notices.append(text)

    def first(self, topic: str) -> Any:
        """The first message of a topic, of its rosbags type, or None when there is none or it cannot be read."""
        try:
            for reader in self._readers:
                for _, msgtype, _, data in _messages(reader, {topic}):
                    return typestore().deserialize_cdr(_plain(data), msgtype)
        except Exception:  # damage is counted when the messages are read in their turn
            return None
        return None

    def close(self) -> None:
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


def _check_profiles(path: Path) -> None:
    """Raises HpeError when the quality of service of a topic, which rosbags reads as YAML, grows without measure."""
    from hpe_core.io.yaml_loader import YamlError

    try:
        with plain_path(path) as name, closing(sqlite3.connect(f"file:{name}?immutable=1", uri=True)) as database:
            for (text,) in database.execute("SELECT offered_qos_profiles FROM topics"):
                check_aliases(str(text), f"{path}: offered_qos_profiles")
    except (sqlite3.Error, YamlError):
        return  # what is no database, no YAML or of an old version is for rosbags to judge


def _open_reader(path: Path) -> "tuple[Reader | None, str]":
    """An open rosbags Reader, or None and why it cannot be opened."""
    from rosbags.rosbag2 import Reader

    try:
        with plain_path(path) as name:
            reader = Reader(name)
            reader.open()
    except Exception as error:  # on damaged files: ReaderError, TypeError, struct.error, OSError, sqlite errors ...
        return None, _line(error)
    return reader, ""


def _messages(reader: "McapScan | Reader", topics: Collection[str]) -> Iterator[tuple[str, str, int, bytes]]:
    if isinstance(reader, McapScan):
        yield from reader.messages(topics)
        return
    connections = [c for c in reader.connections if c.topic in topics]
    if connections:
        for connection, time_ns, data in reader.messages(connections):
            yield connection.topic, connection.msgtype, time_ns, data


def _plain(data: bytes) -> bytes:
    """CDR bytes, unpacked when they are single messages compressed by the recorder (a bare file does not say so).

    Raises ValueError when they cannot be unpacked."""
    return unpack_message(bytes(data)) if bytes(data[:4]) == _ZSTD_MAGIC else data


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _metadata(path: Path) -> tuple[list[str], dict[str, int]]:
    """Names of the bag's files, and dict topic -> message count, as metadata.yaml says; empty when it does not."""
    try:
        info = load_mapping(path, "metadata")["rosbag2_bagfile_information"]
        counts = {
            str(topic["topic_metadata"]["name"]): int(topic["message_count"])
            for topic in info["topics_with_message_count"]
        }
        return [PurePath(name).name for name in info["relative_file_paths"]], counts
    except (HpeError, KeyError, TypeError, ValueError):
        return [], {}


def stamp_ns_of(stamp: Stamp) -> int:
    """Nanoseconds of a builtin_interfaces/Time."""
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def image_topics(bag: Bag) -> list[str]:
    """Image topics, those with messages first; depth images are no pictures and come last."""
    names = [
        name
        for name, msgtype in bag.topics.items()
        if msgtype in (IMAGE, COMPRESSED) and not name.endswith("/compressedDepth")
    ]
    return sorted(names, key=lambda name: (not bag.counts[name], "depth" in name, bag.topics[name] != IMAGE))


def is_bag_folder(path: Path) -> bool:
    """Whether a folder holds a rosbag2."""
    return (path / "metadata.yaml").exists() or any(child.suffix in BAG_SUFFIXES for child in path.iterdir())


def bag_name(path: str | Path) -> str:
    """A bag's name without its place on this machine."""
    full = Path(path).resolve()
    return full.name if full.is_dir() else full.stem


def find_bags(text: str) -> dict[str, Path]:
    """dict name -> path of the bag `text`, or of all bags in the folder `text` (any depth, natural order)."""
    root = Path(text)
    if not root.exists():
        raise HpeError(f"{text} does not exist")
    if not root.is_dir() or is_bag_folder(root):
        return {bag_name(root): root}
    folders = {path.parent for suffix in BAG_SUFFIXES for path in root.rglob(f"*{suffix}")}
    folders |= {path.parent for path in root.rglob("metadata.yaml")}
    if not folders:
        raise HpeError(f"folder {text} holds no rosbag2")
    names = {folder.relative_to(root).as_posix(): folder for folder in folders}
    return {name: names[name] for name in sorted(names, key=natural_key)}
