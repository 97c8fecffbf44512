"""What demonstrations, simulation, policies and nodes must agree on: LIBERO's cameras, rate and action."""

CAMERAS = ("agentview", "eye_in_hand")
CONTROL_HZ = 20
"""Control steps a second: frames and actions of demonstrations, and what videos are resampled to."""
ACTION_DIM = 7
"""Numbers of an action (OSC_POSE): position 3, rotation 3, gripper 1."""
