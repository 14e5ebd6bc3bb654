"""Images, cameras and poses in and out of files; ROS bags without ROS. Heavy libraries are imported on use."""
