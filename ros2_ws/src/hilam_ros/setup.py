from glob import glob

from setuptools import find_packages, setup

package_name = "hilam_ros"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package_name}"]),
        (f"share/{package_name}", ["package.xml"]),
        (f"share/{package_name}/launch", glob("launch/*.launch.py")),
        (f"share/{package_name}/config", glob("config/*.yaml")),
        (f"share/{package_name}/hook", glob("hook/*.sh")),  # sourced with the workspace: colcon.pkg names it
    ],
    install_requires=["setuptools"],
    zip_safe=False,
    maintainer="HiLAM developers",
    maintainer_email="hilam@users.noreply.github.com",
    description="Nodes that run a hierarchical latent action policy on an arm.",
    license="MIT",
    entry_points={
        "console_scripts": [
            f"{node} = {package_name}.main:{node}"
            for node in (
                "libero_bridge",
                "camera_ingest",
                "skill_planner",
                "action_executor",
                "safety_monitor",
                "task_server",
                "recorder",
                "teleop",
                "run_tasks",
                "simulated_arm",
                "check_arm",
                "console",
                "rerun_logger",
            )
        ],
    },
)
