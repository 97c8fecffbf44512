"""Nodes that run a hierarchical latent action policy on an arm, or on LIBERO standing in for one."""

POLICY_NODES = ("camera_ingest", "skill_planner", "action_executor")
