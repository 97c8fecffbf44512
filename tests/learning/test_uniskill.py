"""UniSkill's models: names and shapes of the published files, and all stages on an imported one."""

import json

import numpy as np
import pytest
import torch
from programs import SKILLS, program
from synthetic import write_demonstrations

from hilam_core.cards import load_card
from hilam_core.data import LatentStore
from hilam_core.lam import extract_latents, load_lam
from hilam_core.lam.uniskill_idm import IDMConfig, InverseDynamics

pytest.importorskip("diffusers")

IDM = IDMConfig(image_size=32, width=16, layers=2, heads=2, context_dim=12)


def published_shapes(width=256, layers=8, patches=196, skill=64, context=768):
    """Names and shapes of idm.pth, written out from the authors' code and torchvision's ResNet-18."""
    pair = lambda name, out, into: {f"{name}.weight": [out, into], f"{name}.bias": [out]}  # noqa: E731
    norm = lambda name, size: {f"{name}.weight": [size], f"{name}.bias": [size]}  # noqa: E731
    counted = ("running_mean", "running_var")
    batch_norm = lambda name, size: {  # noqa: E731
        **norm(name, size),
        **{f"{name}.{what}": [size] for what in counted},
        f"{name}.num_batches_tracked": [],
    }
    shapes = {"pos_embed_spatial": [1, 1, patches, width], "pos_embed_temporal": [1, 2, 1, width]}
    shapes |= norm("depth_proj.1", 256) | pair("depth_proj.2", width, 256) | norm("depth_proj.3", width)
    joined = width + 512
    shapes |= norm("modal_proj.0", joined) | pair("modal_proj.1", width, joined) | norm("modal_proj.2", width)
    shapes |= {"visual_encoder.0.weight": [64, 3, 7, 7]} | batch_norm("visual_encoder.1", 64)
    channels = 64
    for layer, out in zip((4, 5, 6, 7), (64, 128, 256, 512), strict=True):
        for block in (0, 1):
            name = f"visual_encoder.{layer}.{block}"
            shapes[f"{name}.conv1.weight"] = [out, channels, 3, 3]
            shapes[f"{name}.conv2.weight"] = [out, out, 3, 3]
            shapes |= batch_norm(f"{name}.bn1", out) | batch_norm(f"{name}.bn2", out)
            if channels != out:
                shapes[f"{name}.downsample.0.weight"] = [out, channels, 1, 1]
                shapes |= batch_norm(f"{name}.downsample.1", out)
            channels = out
    for i in range(layers):
        name = f"transformer.layers.{i}"
        for attention in ("spatial_attn", "temporal_attn"):
            shapes[f"{name}.{attention}.qkv.weight"] = [3 * width, width]
            shapes |= pair(f"{name}.{attention}.proj", width, width) | norm(f"{name}.{attention}.norm", 64)
        shapes |= pair(f"{name}.mlp.fc1", 4 * width, width) | pair(f"{name}.mlp.fc2", width, 4 * width)
    shapes |= pair("proj", width, width) | norm("skill_norm", width) | pair("skill_proj", skill, width)
    return shapes | norm("latent_norm", skill) | pair("latent_proj", context, skill)


def test_the_idm_has_the_published_names_and_shapes():
    with torch.device("meta"):
        idm = InverseDynamics(IDMConfig(), 64)
    assert {name: list(value.shape) for name, value in idm.state_dict().items()} == published_shapes()


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A folder laid out like the published downloads, all models tiny and random but for ResNet-18."""
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

    folder = tmp_path_factory.mktemp("published")
    torch.manual_seed(0)
    torch.save(InverseDynamics(IDM, 8).state_dict(), folder / "idm.pth")
    backbone = Dinov2Config(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, image_size=28, patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"], reshape_hidden_states=False,
    )  # fmt: skip
    depth = DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=16, neck_hidden_sizes=[4, 4, 4, 4],
        fusion_hidden_size=4, head_hidden_size=4,
    )  # fmt: skip
    DepthAnythingForDepthEstimation(depth).save_pretrained(folder / "depth")
    (folder / "depth/preprocessor_config.json").write_text(json.dumps({"size": {"height": 28, "width": 28}}))
    UNet2DConditionModel(
        in_channels=8, out_channels=4, cross_attention_dim=12, block_out_channels=(8, 16), layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), norm_num_groups=4, attention_head_dim=4,
    ).save_pretrained(folder / "unet")  # fmt: skip
    AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(4, 4), norm_num_groups=2, latent_channels=4,
    ).save_pretrained(folder / "pix2pix/vae")  # fmt: skip
    DDIMScheduler(beta_schedule="scaled_linear").save_pretrained(folder / "pix2pix/scheduler")
    return folder


def imported(published, out, *more, fdm=True):
    """Run the import; the files are those of `published`."""
    arguments = ["--idm", published / "idm.pth", "--depth", published / "depth", "--gap", 4, "--heads", 2]
    if fdm:
        arguments += ["--unet", published / "unet", "--pix2pix", published / "pix2pix", "--frame-size", 16]
    return program("import_uniskill", *arguments, "--out", out, *more, cwd=published)


@pytest.fixture(scope="module")
def chain(published, tmp_path_factory):
    """A folder with an imported model, demonstrations and their latents."""
    folder = tmp_path_factory.mktemp("uniskill")
    write_demonstrations(folder / "data/libero_object/a_demo.hdf5", episodes=4)
    result = imported(published, folder / "runs/lam")
    assert result.code == 0, result.errors
    result = program("extract_latents", "--device", "cpu", cwd=folder)
    assert result.code == 0, result.errors
    return folder


def test_an_imported_model_is_the_published_one(published, chain):
    lam = load_lam(chain / "runs/lam")
    state = torch.load(published / "idm.pth", weights_only=True)
    assert all(torch.equal(lam.idm.state_dict()[name], value) for name, value in state.items())
    card = load_card(chain / "runs/lam", "lam")
    assert (card["config"]["kind"], card["config"]["latent_dim"], lam.gap) == ("uniskill", 8, 4)
    frames = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), np.uint8)
    z = lam.infer(frames[:2], frames[4:])
    assert z.shape == (2, 8) and (z[0] - z[1]).abs().max() > 1e-4
    np.testing.assert_allclose(extract_latents(lam, frames, 4, batch_size=3)[:2], z.detach(), atol=1e-5)
    lam.config.fdm.steps = 2
    predicted = lam.predict(frames[:2], z)
    assert predicted.shape == (2, 3, 16, 16) and torch.equal(predicted, lam.predict(frames[:2], z))
    assert not torch.equal(predicted, lam.predict(frames[:2], z.flip(0)))


def test_the_depth_of_a_frame_matters(chain):
    lam = load_lam(chain / "runs/lam")
    frames = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    before = lam.features(frames)
    torch.nn.init.normal_(next(lam.depth.parameters()))
    assert not torch.allclose(before, lam.features(frames))


def test_latents_skills_and_policies_train_on_top_of_it_unchanged(chain):
    assert LatentStore.read(chain / "data/libero_object/latents.h5").latent_dim == 8
    small = ["--train.steps", 2, "--train.batch-size", 4, "--train.device", "cpu"]
    for name, arguments in (
        ("train_skills", [*SKILLS, "--train.steps", 2]),
        ("extract_skills", ["--strips", 0]),
        ("pretrain_policy", [*small, "--no-language"]),
        ("finetune_policy", [*small, "--pretrained", "runs/pretrain"]),
    ):
        result = program(name, *arguments, cwd=chain)
        assert result.code == 0, (name, result.errors)
    skills = load_card(chain / "runs/skills", "skills")
    assert "without_rec" not in skills  # the diffusion FDM takes part
    assert skills["parents"] == {"lam": load_card(chain / "runs/lam")["weights_sha256"]}


def test_training_goes_on_with_an_imported_model(chain):
    """The denoising loss trains IDM and UNet together; the depth model and the VAE stay as they are."""
    arguments = ["--start", "runs/lam", "--min-gap", 2, "--gap", 4, "--max-gap", 6, "--evaluated", 2]
    small = ["--train.steps", 2, "--train.batch-size", 2, "--train.device", "cpu", "--train.warmup-steps", 0]
    result = program("train_lam", *arguments, *small, "--out", "runs/tuned", cwd=chain)
    assert result.code == 0, result.errors
    before, after = (load_lam(chain / f"runs/{name}").state_dict() for name in ("lam", "tuned"))
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert {name.split(".")[0] for name in changed} == {"idm", "fdm"}
    assert {name.split(".")[1] for name in changed if name.startswith("fdm")} == {"unet"}


def test_without_its_fdm_it_labels_frames_and_skills_are_learned_without_l_rec(published, chain):
    result = imported(published, chain / "runs/idm", fdm=False)
    assert result.code == 0, result.errors
    result = program("extract_latents", "--lam", "runs/idm", "--out", "idm.h5", cwd=chain)
    assert result.code == 0, result.errors
    learn = ["--latents", "idm.h5", "--out", "runs/idm_skills", *SKILLS, "--train.steps", 1]
    result = program("train_skills", *learn, cwd=chain)
    assert result.code == 0, result.errors
    assert "has no FDM" in load_card(chain / "runs/idm_skills", "skills")["without_rec"]
    result = program("train_lam", "--start", "runs/idm", "--out", "runs/none", cwd=chain)
    assert result.code == 1 and "without its FDM: import it with --unet" in result.errors


class Planted:
    """What must not be made when a file is read."""

    def __reduce__(self):
        return (pytest.fail, ("the file was unpickled",))


def test_files_that_are_not_the_published_ones_are_refused(published, tmp_path):
    state = torch.load(published / "idm.pth", weights_only=True)
    planted, pruned, foreign = (tmp_path / name for name in ("planted.pth", "pruned.pth", "foreign.pth"))
    torch.save({"weights": Planted()}, planted)
    torch.save({name: value for name, value in state.items() if name != "proj.bias"}, pruned)
    torch.save({"fc.weight": torch.zeros(2, 2)}, foreign)
    for path, message in (
        (planted, "planted.pth' cannot be read as tensors: "),
        (pruned, "pruned.pth' does not fit its model: proj.bias"),
        (foreign, "foreign.pth' is not UniSkill's IDM: 'pos_embed_spatial' is missing"),
        (tmp_path / "none.pth", "none.pth' cannot be read as tensors: "),
    ):
        result = imported(published, tmp_path / "out", "--idm", path)
        assert result.code == 1 and message in result.errors.strip().splitlines()[-1]
    result = imported(published, tmp_path / "out", "--unet", published / "depth")
    assert "config.json' has _class_name None, not 'UNet2DConditionModel'" in result.errors
