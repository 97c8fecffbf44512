"""Tests of launch descriptions: while the processes run, and after they have ended."""

from launch_testing import actions, asserts, markers, util
from launch_testing.loader import parametrize, post_shutdown_test

__all__ = ["actions", "asserts", "markers", "parametrize", "post_shutdown_test", "util"]
