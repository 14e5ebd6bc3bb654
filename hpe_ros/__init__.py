"""Thin ROS 2 nodes around hpe_core; ROS messages are known only here."""
