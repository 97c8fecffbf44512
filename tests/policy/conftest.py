import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "learning"))  # synthetic.py
sys.path.append(str(Path(__file__).parents[2] / "training"))


@pytest.fixture(scope="session")
def demonstrations(tmp_path_factory):
    """A folder with two files of three short synthetic demonstrations, 32 px, of two LIBERO tasks."""
    from synthetic import write_demonstrations

    folder = tmp_path_factory.mktemp("demonstrations")
    for seed, name in enumerate(("alphabet_soup", "milk")):
        stem = f"pick_up_the_{name}_and_place_it_in_the_basket_demo"
        write_demonstrations(folder / f"{stem}.hdf5", episodes=3, size=32, seed=seed)
    return folder
