"""The ROS package's plain modules are importable without a built workspace."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "ros2_ws" / "src" / "hilam_ros"))
