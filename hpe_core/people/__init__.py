"""One person from the heads that several cameras see, in one fixed frame; no ROS, no clock but the stamps."""
