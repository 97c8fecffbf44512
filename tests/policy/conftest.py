import pytest
from synthetic import write_demonstrations


@pytest.fixture(scope="session")
def demonstrations(tmp_path_factory):
    """A folder with two files of three short synthetic demonstrations, 32 px, of two LIBERO tasks."""
    folder = tmp_path_factory.mktemp("demonstrations")
    for seed, name in enumerate(("alphabet_soup", "milk")):
        stem = f"pick_up_the_{name}_and_place_it_in_the_basket_demo"
        write_demonstrations(folder / f"{stem}.hdf5", episodes=3, size=32, seed=seed)
    return folder
