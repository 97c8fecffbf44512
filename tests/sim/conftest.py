import pytest

from hilam_sim import LiberoEnv


@pytest.fixture(scope="session")
def env():
    """LIBERO-Object task 3 (the bbq sauce) without cameras; every test resets it first."""
    environment = LiberoEnv("libero_object", 3, render=False, assets="builtin")
    yield environment
    environment.close()


@pytest.fixture(scope="session")
def seeing_env():
    """The same task with small images."""
    environment = LiberoEnv("libero_object", 3, image_size=64, assets="builtin")
    yield environment
    environment.close()
