"""The output folder of one run: poses.csv, poses/, overlay.mp4 or overlay/, summary.json."""

import shutil
from pathlib import Path

from hpe_core.errors import HpeError
from hpe_core.io.overlay import OverlayImages, OverlayVideo
from hpe_core.io.summary import write_json
from hpe_core.io.writers import PoseBag, PoseCsv

NAMES = ("poses.csv", "poses", "overlay.mp4", "overlay", "summary.json")


def earlier_results(folder):
    """Names of results that a former run left in the folder."""
    return [name for name in NAMES if (Path(folder) / name).exists()]


def check_folder(folder, overwrite):
    """Raises HpeError when the folder cannot become the output folder; changes nothing."""
    folder = Path(folder)
    try:
        if folder.exists() and not folder.is_dir():
            raise HpeError(f"output folder {folder} is a file")
        earlier = earlier_results(folder)
    except (OSError, ValueError) as error:
        raise HpeError(f"output folder {folder} cannot be used: {getattr(error, 'strerror', error)}") from error
    if earlier and not overwrite:
        raise HpeError(f"output folder {folder} holds earlier results ({', '.join(earlier)}): use --overwrite or --out")


class Outputs:
    """All files of one run; `close` makes every one of them complete and readable, also after an interruption."""

    def __init__(self, folder, images, overlay, overwrite):
        """images: the source is images, so the overlay is images too; overlay: whether there is one."""
        self.folder = Path(folder)
        check_folder(folder, overwrite)
        self._writers = []
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for name in earlier_results(folder):
                path = self.folder / name
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
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

    def write_picture(self, picture_bgr, frame):
        """The drawn image of one Frame."""
        if self._overlay is not None:
            self._overlay.write(picture_bgr, frame)

    def write_summary(self, values):
        """summary.json from a dict."""
        write_json(self.folder / "summary.json", values)

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

    def names(self):
        """Paths of what the folder holds."""
        return [self.folder / name for name in earlier_results(self.folder)]
