"""The circle in small: demonstrate over an arm's topics, record, import, learn, run over the same topics."""

import json

import numpy as np
import pytest
from programs import LAM, SKILLS, program
from recordings import require_parity

from hilam_core.data import read_demonstrations
from hilam_core.observation import preprocess, proprioception
from hilam_core.policy import load_policy
from hilam_core.runtime.bags import BagReader
from hilam_core.runtime.control import ActionExecutor, SkillPlanner
from hilam_core.runtime.replay import replay
from hilam_core.runtime.schedule import PlanSchedule

PATIENT = {"peer_timeout_s": 400.0}  # on a busy machine a stack takes minutes to start
TASK, SEEDS = "3", (5, 5)  # the expert succeeds there in 91 steps; two, so that one is held out
FEW = ("--train.steps", 4, "--train.batch-size", 4, "--train.device", "cpu")
LEARN = [
    ("train_lam", [*LAM, "--train.steps", 5, "--out", "lam"]),
    ("extract_latents", ["--lam", "lam", "--out", "latents.h5"]),
    (
        "train_skills",
        [*SKILLS, "--train.steps", 5, "--latents", "latents.h5", "--lam", "lam", "--out", "skills"],
    ),
    ("extract_skills", ["--skills", "skills", "--latents", "latents.h5", "--out", "skills.h5"]),
    (
        "pretrain_policy",
        [*FEW, "--latents", "latents.h5", "--skills", "skills.h5", "--out", "pretrained"],
    ),
    ("finetune_policy", [*FEW, "--pretrained", "pretrained", "--out", "policy"]),
]


def demonstrate(workspace, tmp_path):
    """Bags of the expert, driving through the monitor's topics; a row of results for each."""
    goals = [
        {"suite": "libero_object", "task": TASK, "placement": "scattered", "seed": seed} for seed in SEEDS
    ]
    (tmp_path / "goals").write_text("".join(json.dumps(goal) + "\n" for goal in goals))
    launch = workspace.simulate(
        demonstrate="true",
        record="true",
        recordings=tmp_path / "bags",
        goals=tmp_path / "goals",
        results=tmp_path / "results",
        output="none",
        **PATIENT,
    )
    assert launch.wait(900) == 0, launch.output
    rows = [json.loads(line) for line in (tmp_path / "results").read_text().splitlines()]
    return sorted((tmp_path / "bags").iterdir()), rows


def learn(tmp_path):
    """A policy, trained far too shortly, from the imported demonstrations."""
    for name, arguments in LEARN:
        result = program(name, "--data", tmp_path / "data", *arguments, cwd=tmp_path)
        assert result.code == 0, (name, result.errors)
    return tmp_path / "policy"


def actions_in_process(policy, instruction, observations):
    """What the policy does for these observations without any node."""
    planner, executor = SkillPlanner(policy), ActionExecutor(policy)
    schedule = PlanSchedule(policy.plan_period)
    planner.reset(instruction)
    executor.reset(instruction)
    actions, skill = [], None
    for step, observation in enumerate(observations):
        if schedule.due(step):
            skill = planner.plan(observation)
        actions.append(executor.act(observation, skill, step))
    return actions


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_what_the_expert_demonstrates_is_recorded_imported_learned_and_run_over_the_same_topics(
    workspace, tmp_path
):
    bags, rows = demonstrate(workspace, tmp_path)
    assert [row["outcome"] for row in rows] == ["success"] * len(SEEDS), rows
    assert [BagReader(bag).facts["outcome"] for bag in bags] == ["success"] * len(SEEDS)
    done = program("import_bags", "--bags", tmp_path / "bags", "--out", tmp_path / "data", cwd=tmp_path)
    assert done.code == 0, done.errors
    episodes = read_demonstrations([tmp_path / "data"])
    assert all(row["steps"] // 2 < len(e) <= row["steps"] for e, row in zip(episodes, rows, strict=True))
    for episode, folder in zip(episodes, bags, strict=True):
        bag = BagReader(folder)
        _, found = require_parity(bag)
        np.testing.assert_array_equal(episode.proprio, [step_proprio(step) for step in found.steps])
        applied = [message.action for _, _, message in bag.messages({"/simulation_step"})]
        np.testing.assert_allclose(episode.actions, applied[-len(episode) :], atol=1e-6)
        assert episode.phases[0] == "reach" and {"grasp", "lift", "carry"} <= set(episode.phases)

    policy = learn(tmp_path)
    launch = workspace.simulate(
        policy=policy,
        record="true",
        recordings=tmp_path / "run",
        output="none",
        task=TASK,
        max_steps=12,
        **PATIENT,
    )
    assert launch.wait(600) == 1, launch.output  # four steps of training teach nothing
    assert "no success within 12 steps" in launch.output, launch.output
    (folder,) = (tmp_path / "run").iterdir()
    meaning, found = require_parity(BagReader(folder))
    steps = replay(BagReader(folder), meaning, actions=False).steps
    observations = [preprocess(step.raw, meaning.ingest.spec) for step in steps]
    expected = actions_in_process(load_policy(policy), BagReader(folder).facts["instruction"], observations)
    np.testing.assert_array_equal([taken.action for taken in found.taken], expected[-len(found.taken) :])


def step_proprio(step):
    return proprioception(step.raw.ee_pos, step.raw.ee_quat, step.raw.gripper_qpos)
