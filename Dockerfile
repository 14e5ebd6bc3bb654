# The nodes in a container: docker build --build-arg ROS_DISTRO=humble -t hpe_ros .
#   docker run --rm -it --net=host --ipc=host hpe_ros ros2 launch hpe_ros pose.launch.py image:=/camera/image_raw
#   docker run --rm -it --net=host --ipc=host --device=/dev/video0 hpe_ros ros2 launch hpe_ros pose.launch.py camera:=0
ARG ROS_DISTRO=jazzy
FROM ros:${ROS_DISTRO}-ros-base

SHELL ["/bin/bash", "-eo", "pipefail", "-c"]
WORKDIR /ws
COPY . src/hpe_ros

# what has no package of the system (onnxruntime, rosbags) comes by pip, into a virtual environment
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3-venv python3-pip \
 && rosdep update --rosdistro "$ROS_DISTRO" \
 && rosdep install --from-paths src --ignore-src -y -t exec \
 && rm -rf /var/lib/apt/lists/*

ENV VIRTUAL_ENV=/opt/hpe_venv
RUN python3 -m venv --system-site-packages "$VIRTUAL_ENV" \
 && source "$VIRTUAL_ENV/bin/activate" \
 && pip install --no-cache-dir 'src/hpe_ros[colcon]' \
 && pip uninstall -y hpe_ros \
 && source "/opt/ros/$ROS_DISTRO/setup.bash" \
 && python -m colcon build --packages-select hpe_ros

ENTRYPOINT ["/bin/bash", "-c", "source /ws/install/setup.bash && exec \"$0\" \"$@\""]
CMD ["ros2", "launch", "hpe_ros", "pose.launch.py"]
