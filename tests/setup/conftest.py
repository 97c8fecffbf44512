import pytest
from small_checkout import small_checkout


@pytest.fixture(scope="session")
def wheels(tmp_path_factory):
    return tmp_path_factory.mktemp("wheels")


@pytest.fixture
def bare(tmp_path, wheels):
    """A checkout in which nothing was set up."""
    return small_checkout(tmp_path / "bare", wheels)


@pytest.fixture(scope="session")
def first(tmp_path_factory, wheels):
    """A checkout set up once; tests change copies of it."""
    checkout = small_checkout(tmp_path_factory.mktemp("first") / "hilam", wheels)
    checkout.setup()
    return checkout
