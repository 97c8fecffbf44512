"""The limits of an arm with two joints, for tests."""

from hilam_core.runtime.limits import Limits

LIMITS = Limits(
    workspace_min_m=(0.3, -0.3, 0.1),
    workspace_max_m=(0.7, 0.3, 0.6),
    max_linear_m_s=0.4,
    max_linear_m_s2=2.0,
    max_linear_m_s3=50.0,
    max_angular_rad_s=2.0,
    max_angular_rad_s2=8.0,
    max_angular_rad_s3=200.0,
    arm_joints=("shoulder", "elbow"),
    joint_min_rad=(-1.0, -2.0),
    joint_max_rad=(1.0, 2.0),
    joint_margin_rad=0.3,
    gripper_min_m=0.0,
    gripper_max_m=0.04,
    max_command_age_s=0.2,
    max_state_age_s=0.2,
)
