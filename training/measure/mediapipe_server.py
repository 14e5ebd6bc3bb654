"""MediaPipe's face mesh in an environment of its own: started by mediapipe_process.py, imports nothing of the project.

    PYTHON mediapipe_server.py FRAMES POINTS BYTES FACES video|static CORES

A request is a line "height width" for the frame (BGR uint8) that lies in the file FRAMES. The answer is a line "faces
seconds": how many lie in the file POINTS (FACES, 468, 3) float32, as MediaPipe normalises them, and how long the mesh
took. CORES: processor cores that it may use, 0 for all.
"""

import os
import sys
import time

answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # MediaPipe prints

import mediapipe  # noqa: E402
import numpy as np  # noqa: E402

COUNT = 468


def main() -> None:
    """Answers until its input ends."""
    frames_path, points_path, size, most, mode, cores = sys.argv[1:7]
    if int(cores):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-int(cores) :])
    frames = np.memmap(frames_path, np.uint8, "r", shape=(int(size),))
    points = np.memmap(points_path, np.float32, "r+", shape=(int(most), COUNT, 3))
    mesh = mediapipe.solutions.face_mesh.FaceMesh(
        static_image_mode=mode == "static", max_num_faces=int(most), min_detection_confidence=0.5
    )
    answers.write("ready\n")
    for line in sys.stdin:
        height, width = map(int, line.split())
        start = time.perf_counter()
        image = frames[: height * width * 3].reshape(height, width, 3)
        found = mesh.process(np.ascontiguousarray(image[..., ::-1])).multi_face_landmarks or ()
        for number, face in enumerate(found):
            points[number] = [(p.x, p.y, p.z) for p in face.landmark[:COUNT]]
        answers.write(f"{len(found)} {time.perf_counter() - start:.9f}\n")


if __name__ == "__main__":
    main()
