r"""Import UniSkill's published weights as a latent action model.

    python training/import_uniskill.py --idm UniSkill/idm.pth --depth Depth-Anything-V2-Small-hf --gap 20 \
        --unet UniSkill/unet --pix2pix instruct-pix2pix --out runs/uniskill

Reads the files as their authors published them, downloaded before; writes a checkpoint like train_lam's.
Without --unet and --pix2pix there is no FDM: latents can be extracted, and train_skills learns from them
without L_rec. Needs the extra `uniskill`.
"""

from dataclasses import dataclass
from pathlib import Path

from hilam_core.cards import make_card
from hilam_core.checkpoint import save_checkpoint
from hilam_core.errors import ConfigError
from hilam_core.files import file_hash, writable_folder
from hilam_core.lam.published import read_uniskill
from hilam_core.program import run_program


@dataclass
class Config:
    """Import UniSkill's published weights."""

    idm: Path
    """The IDM's state dict, idm.pth or a .safetensors of the same names."""
    depth: Path
    """Folder of Depth-Anything-V2-Small in transformers' layout."""
    unet: Path | None = None
    """Folder of the FDM's UNet in diffusers' layout."""
    pix2pix: Path | None = None
    """Folder of InstructPix2Pix in diffusers' layout, for its VAE and scheduler; with --unet."""
    out: Path = Path("runs/uniskill")
    """Folder to write."""
    gap: int = 20
    """The fixed gap k of extraction, in frames; UniSkill trains with 20 to 40 on LIBERO."""
    frame_size: int = 256
    """Side of the frames that the FDM predicts, pixels: that of UniSkill's training."""
    heads: int = 4
    """Heads of the IDM's attention, which its file does not tell."""

    def __post_init__(self) -> None:
        if (self.unet is None) != (self.pix2pix is None):
            raise ConfigError("--unet and --pix2pix make the FDM together: give both or none")
        if self.gap < 1:
            raise ConfigError(f"gap must be at least 1, got {self.gap}")


def main(config: Config) -> None:
    writable_folder(config.out)
    model = read_uniskill(
        config.idm, config.depth, config.unet, config.pix2pix, config.frame_size, config.heads
    )
    parents = {"uniskill": file_hash(config.idm)}
    save_checkpoint(
        config.out, model.state_dict(), make_card("lam", model.config, config, {}, parents, seed=0)
    )
    count = sum(parameter.numel() for parameter in model.parameters())
    print(f"{config.out}: {count / 1e6:.1f} million weights, z^l [{model.latent_dim}], k = {config.gap}")


if __name__ == "__main__":
    run_program(main, Config)
