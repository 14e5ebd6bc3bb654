"""The id of a face: its text, what TF calls it, its colour, where it comes from. Nothing else takes an id apart.

Two kinds of names have one spelling. An id, of five letters, is one track's and never another's. The name of a slot,
`face_a` for the first, is lent to a track while it lasts: few names are enough for a robot that runs for months.
"""

import random
import re

from hpe_core.errors import HpeError

_PREFIX = "face_"
_TEXT = re.compile(_PREFIX + "[a-z]{1,6}")  # six letters still number a marker, which has 32 bits
SLOTS = 64  # faces tracked at a time, at most
_LETTERS = 26
_IDS = _LETTERS**5  # as many as five letters spell
_SHORTER = sum(_LETTERS**length for length in range(1, 5))  # numbers of the names of fewer letters
_STEP = 7_343_095  # coprime to _IDS, so that all come before the first comes again; ids in a row look different
# Okabe and Ito, colours that people with any colour vision tell apart; RGB
_COLOURS = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
    (200, 200, 200),
)


class FaceId(str):
    """The text `face_` and one to six lower-case letters, which is also the name of the face's TF frame (REP-155).

    It is written, compared and sorted as that text. Raises HpeError when a text is no such id.
    """

    __slots__ = ()

    def __new__(cls, text: str | None) -> "FaceId":
        if text is None or not _TEXT.fullmatch(text):
            raise HpeError(f"face id must be '{_PREFIX}' and 1 to 6 letters a to z, got {text!r}")
        return super().__new__(cls, text)

    @classmethod
    def of_number(cls, number: int) -> "FaceId":
        """The name whose `number` that is, from 0 on: `face_a` ... `face_z`, `face_aa` ..."""
        letters = ""
        while number >= 0:
            number, letter = divmod(number, _LETTERS)
            letters, number = chr(ord("a") + letter) + letters, number - 1
        return cls(_PREFIX + letters)

    @property
    def letters(self) -> str:
        """What REP-155 calls the id: `a` of `face_a`."""
        return self[len(_PREFIX) :]

    def face_frame(self, prefix: str = "") -> str:
        """TF name of the face frame; prefix: before the id, as REP-155 wants ids of several cameras to differ."""
        return _PREFIX + prefix + self.letters

    def gaze_frame(self, prefix: str = "") -> str:
        """TF name of the gaze frame; prefix: as of `face_frame`."""
        return "gaze_" + prefix + self.letters

    @property
    def number(self) -> int:
        """A number of its own, from 0 for `face_a` on, below 2^31."""
        number = 0
        for letter in self.letters:
            number = _LETTERS * number + ord(letter) - ord("a") + 1
        return number - 1

    @property
    def colour_rgb(self) -> tuple[int, int, int]:
        """In which it is drawn everywhere, each channel 0 to 255."""
        return _COLOURS[self.number % len(_COLOURS)]


class FaceIds:
    """Ids of five letters, each given once: 11.9 million before the first comes again.

    seed: with the same one, ids come in the same order; with 0 they begin somewhere else each time.
    """

    def __init__(self, seed: int = 0):
        self._next = (random.Random(seed) if seed else random.SystemRandom()).randrange(_IDS)

    def take(self) -> FaceId:
        """An id that was not given before."""
        self._next = (self._next + _STEP) % _IDS
        return FaceId.of_number(_SHORTER + self._next)


def focus_frame(face_id: str, prefix: str = "") -> str:
    """TF name (REP-155) of what a head looks at; the id of another detector's head, without `face_`, counts whole.

    prefix: as of `FaceId.face_frame`.
    """
    return "focus_" + prefix + face_id.removeprefix(_PREFIX)
