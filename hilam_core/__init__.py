"""HiLAM without ROS and without a simulator: data, latent actions, skills, policies, training, runtime."""
