"""What `rclpy` and the `ros2` command stand on: interface types, DDS entities, the ROS graph on the wire."""
