"""The Rerun viewer as a process of its own, which stays open after the run."""

import os
import socket
import subprocess
import sys
import tempfile
import time

from hpe_core.errors import HpeError
from hpe_core.output.live.screen import check_screen

START_S = 30.0
_HOST = "127.0.0.1"  # the viewer itself would listen on all networks
_POLL_S = 0.05


class Viewer:
    """A Rerun viewer that shows what is sent to `url`. Raises HpeError when there is no screen, or it does not start.

    It sends no usage statistics and writes nothing into the home. Without `close` it stays open.
    """

    def __init__(self):
        check_screen("--view")
        port = _free_port()
        self.url = f"rerun+http://{_HOST}:{port}/proxy"
        command = [sys.executable, "-m", "rerun_cli", "--bind", _HOST, "--port", str(port)]
        with tempfile.TemporaryFile("w+", errors="replace") as said:
            self._process = subprocess.Popen(
                [*command, "--hide-welcome-screen", "--expect-data-soon"],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env=os.environ | {"CI": "1"},  # its way to switch the statistics off
                start_new_session=True,  # Ctrl-C ends the run, not the viewer
            )
            end = time.monotonic() + START_S
            while not _listens(port):
                if self._process.poll() is not None or time.monotonic() > end:
                    self.close()
                    said.seek(0)
                    lines = said.read().strip().splitlines()
                    raise HpeError(f"the Rerun viewer does not start: {lines[-1] if lines else 'it says nothing'}")
                time.sleep(_POLL_S)

    @property
    def open(self) -> bool:
        """Whether the user has not closed it."""
        return self._process.poll() is None

    def close(self) -> None:
        """End it."""
        if self.open:
            os.killpg(self._process.pid, 15) if hasattr(os, "killpg") else self._process.terminate()
        self._process.wait()


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind((_HOST, 0))
        return taken.getsockname()[1]


def _listens(port: int) -> bool:
    try:
        socket.create_connection((_HOST, port), timeout=1.0).close()
    except OSError:
        return False
    return True
