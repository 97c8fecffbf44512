"""Package list of the distribution, and what colcon (ament_python) wants; metadata is in pyproject.toml."""

from glob import glob

from setuptools import find_packages, setup

setup(
    python_requires=">=3.10,<3.13",
    packages=[
        *find_packages(include=["hilam_core", "hilam_core.*"]),
        *find_packages("sim"),
        "hilam_sim.assets.bodies",
    ],
    package_dir={"": ".", "hilam_sim": "sim/hilam_sim"},
    include_package_data=True,
    package_data={"hilam_core": ["**/*.npz"], "hilam_sim.assets.bodies": ["*.txt", "LICENSE"]},
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/hilam"]),
        ("share/hilam", ["package.xml"]),
        # What a launch runs unless told otherwise; its ancestors are for training.
        ("share/hilam/checkpoints/libero_object", glob("checkpoints/libero_object/*")),
    ],
)
