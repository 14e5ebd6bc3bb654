"""One package for pip and for colcon (ament_python); neither imports it to learn its version."""

import re
import sys
from glob import glob
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent  # colcon build --symlink-install links this file
NAME = "hpe_ros"
# an editable install is of a checkout, where the training tools are at hand; a wheel leaves them out
EDITABLE = "editable_wheel" in sys.argv or "develop" in sys.argv
PACKAGES = ["hpe_core", "hpe_ros", *(["training"] if EDITABLE else [])]
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "hpe_core" / "__init__.py").read_text()).group(1)
URL = "https://github.com/OWNER/hpe_ros"  # OWNER: CONTRIBUTING.md, Releases


def readme():
    """README.md for a page elsewhere: pictures and links lead to the files of this version's tag."""
    text = (HERE / "README.md").read_text("utf-8")
    text = re.sub(r"(!\[[^\]]*\]\()(?!https?:)", rf"\g<1>{URL}/raw/v{VERSION}/", text)
    return re.sub(r"(?<!!)(\[[^\]!]*\]\()(?!https?:|#)", rf"\g<1>{URL}/blob/v{VERSION}/", text)


setup(
    name=NAME,
    version=VERSION,
    description="Real-time 6DoF head pose estimation, in Python and as ROS 2 nodes",
    long_description=readme(),
    long_description_content_type="text/markdown",
    url=URL,
    project_urls={
        "Documentation": f"{URL}/tree/v{VERSION}/docs",
        "Changelog": f"{URL}/blob/v{VERSION}/CHANGELOG.rst",
        "Issues": f"{URL}/issues",
    },
    license="Apache-2.0",
    keywords="head pose estimation, 6DoF, face, gaze, attention, human-robot interaction, robotics, ROS 2, ONNX",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    author="hpe_ros contributors",
    maintainer="hpe_ros maintainers",
    maintainer_email="maintainers@example.com",
    packages=find_packages(include=[pattern for name in PACKAGES for pattern in (name, f"{name}.*")]),
    package_data={
        "hpe_core": [
            "py.typed",
            "*.pyi",
            "weights/*.onnx",
            "weights/*.npz",
            "weights/*.json",
            "evaluation/report/*.html",
            "io/message_types/foxglove_msgs/*",
            "backends/tensorrt/parity_frames/*",
        ]
    },
    python_requires=">=3.10",
    install_requires=[
        "numpy",
        "scipy",
        "opencv-python-headless",
        "onnxruntime",
        "rosbags",
        "rich",
        "pyyaml",
        "av",
    ],
    extras_require={
        "train": ["torch", "tensorly", "onnx", "tqdm", "moderngl", "matplotlib", "trimesh"],
        "litert": ["litert-torch>=0.9"],  # brings ai-edge-litert and ai-edge-quantizer
        "tensorrt": ["tensorrt", "onnx", "cuda-python"],
        "tensorrt-rtx": ["tensorrt_rtx", "onnx", "cuda-python"],  # with its libraries; builds engines without a GPU
        "cluster": ["distributed"],
        "view": ["rerun-sdk>=0.28"],
        "pandas": ["pandas"],
        "parquet": ["pyarrow"],
        "supervision": ["supervision"],
        "docs": ["mkdocs-material>=9.5"],
        # small, and no torch
        "test": [
            *("pytest", "hypothesis", "ruff", "onnx", "tqdm", "tensorly"),
            *("pillow", "pandas", "pyarrow", "supervision", "trimesh"),
            *("build", "setuptools>=70.1", "catkin-pkg"),  # the wheel, and what bloom reads
        ],
        # pyright runs on node, which comes with it
        "lint": ["ruff", "pyright[nodejs]==1.1.414"],
        # to build and launch from a virtual environment that does not see the system's packages (lark is launch's need)
        "colcon": ["colcon-core", "colcon-ros", "colcon-bash", "colcon-package-selection", "lark"],
    },
    # colcon needs these under share/; in a plain pip install they lie unused in <prefix>/share
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/launch", sorted(glob("launch/*.launch.*"))),
        (f"share/{NAME}/config", sorted(glob("config/*.yaml") + glob("config/*.json"))),
        (f"share/{NAME}/config/sros2", sorted(glob("config/sros2/*.xml"))),
        (f"share/{NAME}/rviz", sorted(glob("rviz/*.rviz"))),
        (f"share/{NAME}/assets/sample_bag", sorted(glob("assets/sample_bag/*"))),
        (f"share/{NAME}/assets/two_cameras_bag", sorted(glob("assets/two_cameras_bag/*"))),
    ],
    entry_points={
        "console_scripts": [
            "hpe = hpe_core.cli.main:main",
            "pose_node = hpe_ros.nodes.pose_node:main",
            "attention_node = hpe_ros.nodes.attention_node:main",
            "camera_node = hpe_ros.nodes.camera_node:main",
            "cameras_node = hpe_ros.nodes.cameras_node:main",
            "people_node = hpe_ros.nodes.people_node:main",
        ],
        # `hpe nlml` looks them up; in a wheel they lead nowhere, and it says so
        "hpe.nlml_tools": [f"{name} = training.nlml.actions:{name}" for name in ("build", "fit", "train", "evaluate")],
        # `hpe export --to litert` looks it up
        "hpe.exporters": ["litert = training.deploy.litert:export"],
        # `hpe eval images --baselines` looks it up; in a wheel it leads nowhere, and it says so
        "hpe.baselines": ["baselines = training.measure.baselines:baselines"],
    },
    zip_safe=False,
)
