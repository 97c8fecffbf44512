"""What a robot runs, without ROS. `control` runs the networks and needs torch; nothing else here does."""
