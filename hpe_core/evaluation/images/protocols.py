"""Published evaluation protocols as data: which images count, what is compared, what the rest is used for."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Protocol:
    """dataset: name as in `hpe convert`; limits_deg: largest |yaw|, |pitch|, |roll| of a label that counts, None: all;
    test_sequences: those that count, () for all; note: what to know before numbers are compared."""

    name: str
    dataset: str
    limits_deg: tuple | None = None
    test_sequences: tuple = ()
    note: str = ""

    def reason_to_skip(self, sample):
        """Why a Sample does not count, or None."""
        if self.test_sequences and sample.sequence not in self.test_sequences:
            return "sequence is not in the test part"
        angles = np.abs([sample.angles.yaw, sample.angles.pitch, sample.angles.roll])
        if self.limits_deg is not None and np.any(angles > self.limits_deg):
            return "label outside +-{:g}/{:g}/{:g} degrees of yaw, pitch, roll".format(*self.limits_deg)
        return None


PROTOCOLS = {
    p.name: p
    for p in (
        Protocol(
            "aflw2000", "aflw2000", (99.0, 99.0, 99.0), note="1969 of 2000 images; compared in the look-at camera"
        ),
        Protocol("biwi", "biwi", note="all frames, colour camera; filtered sets (13,219 frames) are another protocol"),
        Protocol(
            "biwi-70-30",
            "biwi",
            test_sequences=tuple(f"{i:02d}" for i in range(17, 25)),
            note="sequences 17 to 24 are the test part; never compare with numbers across datasets",
        ),
        Protocol("nlml-window", "aflw2000", (50.0, 40.0, 30.0), note="the window of NLML-HPE on AFLW2000-3D"),
        Protocol("nlml-window-biwi", "biwi", (50.0, 40.0, 30.0), note="the window of NLML-HPE on BIWI"),
    )
}
