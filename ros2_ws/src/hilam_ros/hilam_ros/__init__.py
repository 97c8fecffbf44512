"""Nodes that run a hierarchical latent action policy on an arm, or on LIBERO standing in for one."""

# In this order they are activated: nothing is proposed before the monitor can limit it.
POLICY_NODES = ("camera_ingest", "safety_monitor", "skill_planner", "action_executor")
