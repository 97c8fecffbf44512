"""Nodes that run a hierarchical latent action policy on an arm, or on LIBERO standing in for one."""

# The two halves, which may run on two machines. In this order nodes are activated: nothing is proposed before
# the monitor can limit it.
ARM_NODES = ("camera_ingest", "safety_monitor")
POLICY_NODES = ("skill_planner", "action_executor")
STACK_NODES = (*ARM_NODES, *POLICY_NODES)
