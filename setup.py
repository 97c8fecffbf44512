"""Package list of the distribution, and what colcon (ament_python) wants; metadata is in pyproject.toml."""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(include=["hilam_core", "hilam_core.*"]),
        "hilam_sim",
        *(f"hilam_sim.{name}" for name in find_packages("sim")),
        "hilam_sim.assets.bodies",
    ],
    package_dir={"hilam_core": "hilam_core", "hilam_sim": "sim"},
    include_package_data=True,
    package_data={"hilam_core": ["**/*.npz"], "hilam_sim.assets.bodies": ["*.txt"]},
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/hilam"]),
        ("share/hilam", ["package.xml"]),
    ],
)
