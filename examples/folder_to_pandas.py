"""A table of all faces in a folder of photos, one row each. Needs pandas.

python examples/folder_to_pandas.py photos/ faces.csv
"""

import sys

import pandas

from hpe_core import HeadPose

folder, out = sys.argv[1:]
frames = HeadPose().track(folder)  # photos are unrelated: no ids, no filter; what cannot be read is counted
table = pandas.concat([frame.faces.to_pandas().assign(photo=frame.source) for frame in frames], ignore_index=True)
table.to_csv(out, index=False)
print(table[["photo", "yaw_deg", "pitch_deg", "roll_deg"]])
if frames.dropped:
    print("not read:", dict(frames.dropped))
