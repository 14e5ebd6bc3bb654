"""The output folder of one run: poses.csv, poses/, overlay.mp4 or overlay/, summary.json."""

from pathlib import Path

from hpe_core.errors import HpeError
from hpe_core.io.json_file import json_values, write_json
from hpe_core.output.overlay import OverlayImages, OverlayVideo
from hpe_core.output.writers import PoseBag, PoseCsv

NAMES = ("poses.csv", "poses", "overlay.mp4", "overlay", "summary.json")


class Outputs:
    """All files of one run; `close` makes every one of them complete and readable, also after an interruption."""

    def __init__(self, folder, images, overlay):
        """folder: an empty one; images: the source is images, so the overlay is too; overlay: whether there is one."""
        self.folder = Path(folder)
        self._writers = []
        try:
            self._overlay = None  # first, because it may lack its library
            if overlay and images:
                self._overlay = self._opened(OverlayImages(self.folder / "overlay"))
            elif overlay:
                self._overlay = self._opened(OverlayVideo(self.folder / "overlay.mp4"))
            self._csv = self._opened(PoseCsv(self.folder / "poses.csv"))
            self._bag = self._opened(PoseBag(self.folder / "poses"))
        except OSError as error:
            self.close()
            raise HpeError(f"output folder {folder} cannot be written: {error.strerror}") from error
        except BaseException:
            self.close()
            raise

    def _opened(self, writer):
        self._writers.append(writer)
        return writer

    def write(self, frame, result):
        """Poses of one Frame and its FrameResult."""
        self._csv.write(frame, result)
        self._bag.write(frame, result)

    def write_unreadable(self, frame):
        """The row of a Frame without an image."""
        self._csv.write_unreadable(frame)

    def write_picture(self, picture_bgr, frame):
        """The drawn image of one Frame."""
        if self._overlay is not None:
            self._overlay.write(picture_bgr, frame)

    def write_summary(self, values):
        """summary.json from a dict."""
        write_json(self.folder / "summary.json", json_values(values))

    def close(self):
        """Finish all files but the summary; the first failure is raised after all have been tried."""
        failure = None
        while self._writers:
            try:
                self._writers.pop().close()
            except Exception as error:
                failure = failure or error
        if failure:
            raise failure
