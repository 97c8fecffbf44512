"""Nodes that run a hierarchical latent action policy on an arm, or on LIBERO standing in for one."""
