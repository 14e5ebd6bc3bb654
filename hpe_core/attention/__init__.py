"""Who looks at what, decided from head poses with their covariance; no ROS, no clock but the stamps."""
