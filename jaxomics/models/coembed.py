"""Co-embedding of bulk ATAC and RNA: two VAEs with latents that an alignment makes one space.

Nagaraj et al., "Machine learning derived embeddings of bulk multi-omics data enable clinically
significant representations in a pan-cancer cohort", 2023.

E_a, D_a are the hierarchical VAE of peaks (`atac`), E_r, D_r the VAE of RNA (`bulk`), both trained
alone first. a and r are an ATAC and an RNA profile that are matched (`Data.pairs`); z_a, z_r the
means of their latents.

    L_cyc = MSE(z_a, E_r(D_r(z_a))) + MSE(z_r, E_a(D_a(z_r)))
    adversarial
      L_D = BCE(C(z_a), 1) + BCE(C(z_r), 0)                     moves the discriminator C only
      L_G = -L_D (`negated`), or BCE(C(z_a), 0) + BCE(C(z_r), 1) (`flipped`)
      L   = L_VAE,a + L_VAE,r + l_cyc L_cyc + l_G L_G
    contrastive
      L   = L_VAE,a + L_VAE,r + l_cyc L_cyc + l_con L_con       `losses.triplet`
      of the latents of one of the two, drawn once per step

Not in the article, off by default: l_pair MSE(z_a, z_r), which draws matched samples together. No
published term does so directly.

In L_cyc parameters of encoders are constants, so that it moves decoders only; gradients pass
through the encoders' computation. It is taken at rest: batch norms with running statistics.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Literal

import optax
from flax import struct

from jaxomics.data.batch import DataSpec, ViewSpec
from jaxomics.errors import InputError, unknown
from jaxomics.losses.huber import Reduction
from jaxomics.models.atac import first_level, grouped_views, network_of, peaks_view, window_of
from jaxomics.models.base import Model, Player, Sampling, Stage, Tasks
from jaxomics.models.bulk import VAE, clipped_adam
from jaxomics.models.bulk_networks import Norm, StackVae
from jaxomics.models.coembed_game import CRITIC, Critic, Game
from jaxomics.models.one_view import OneView
from jaxomics.models.windows import with_windows


@dataclass(frozen=True)
class Config:
    """What decides shapes and the form of the loss; fields that `atac.Config` has mean the same.

    Attributes:
      atac: view of the peaks, or of other accessibility; by default the one called `atac`.
      rna: the other view; by default the one called `rna`, or the only one left.
      alignment: `adversarial` or `contrastive`.
      generator: of the adversarial alignment: `negated` is the published loss, which is not
        bounded below; `flipped` is.
      pretrain: share of the epochs in which both VAEs are trained alone.
      window, shift, first_hidden, first_latent, channels, by_chromosome, window_embedding: of the
        peaks.
      hidden: layers of the VAE of ATAC.
      rna_hidden: layers of the VAE of RNA.
      latent: size of z.
      norm: in the layers of ATAC.
      reduction: of errors over features.
    """

    atac: str = ""
    rna: str = ""
    alignment: Literal["adversarial", "contrastive"] = "adversarial"
    generator: Literal["negated", "flipped"] = "flipped"
    pretrain: float = 0.5
    window: int = 5000
    shift: int = 1000
    first_hidden: tuple[int, ...] = (2048, 1024, 512)
    first_latent: int = 512
    channels: int = 64
    hidden: tuple[int, ...] = (1024, 512)
    rna_hidden: tuple[int, ...] = (1024,)
    latent: int = 512
    norm: Norm = "batch"
    reduction: Reduction = "sum"
    by_chromosome: bool = False
    window_embedding: int = 0

    def __post_init__(self) -> None:
        """Check names and the share."""
        for name, known in (
            ("alignment", ("adversarial", "contrastive")),
            ("generator", ("negated", "flipped")),
            ("norm", ("batch", "layer")),
            ("reduction", ("sum", "mean")),
        ):
            if getattr(self, name) not in known:
                raise unknown(name, getattr(self, name), known)
        if not 0 <= self.pretrain < 1:
            raise InputError(f"expected pretrain from 0 to below 1, found {self.pretrain}")

    def modelled(self, views: Sequence[str]) -> tuple[str, str]:
        """Return the views of ATAC and of RNA.

        Raises:
          InputError: an unknown name, or views of which it is not clear which is meant.

        >>> Config().modelled(["rna", "atac"]), Config(atac="motifs").modelled(["rna", "motifs"])
        (('atac', 'rna'), ('motifs', 'rna'))
        """
        if len(views) < 2:
            raise InputError(
                f"expected a view of ATAC and one of RNA, found {', '.join(views)}; for one view "
                "train atac-vae or rna-vae"
            )
        atac = peaks_view(self.atac, views)
        left = [view for view in views if view != atac]
        rna = self.rna or ("rna" if "rna" in left else left[0] if len(left) == 1 else "")
        if rna not in left:
            raise unknown("view of RNA (--rna)", rna, left)
        return atac, rna

    @property
    def grouped(self) -> tuple[str, ...]:
        """Views whose chromosomes the model wants to know."""
        return grouped_views(self)


class Hyper(struct.PyTreeNode):
    """Settings that may vary between replicas of one compiled run.

    Attributes:
      learning_rate: of Adam, for both VAEs.
      critic_rate: learning rate of the discriminator.
      kl_weight: beta of both VAEs.
      delta: of the Huber loss.
      clip: most norm of a gradient.
      cycle_weight, adversarial_weight, contrastive_weight, pair_weight: l_cyc, l_G, l_con, l_pair.
      margin: of triplets.
    """

    learning_rate: float = 1e-3
    critic_rate: float = 1e-4
    kl_weight: float = 1.0
    delta: float = 1.0
    clip: float = 1.0
    cycle_weight: float = 1.0
    adversarial_weight: float = 1.0
    contrastive_weight: float = 1.0
    pair_weight: float = 0.0
    margin: float = 1.0


def critic_adam(hyper: Hyper) -> optax.GradientTransformation:
    """Return the discriminator's update rule."""
    return optax.adam(hyper.critic_rate)


def game_model(config: Config, game: Game) -> Model:
    """Return the game as a model: VAEs alone for a share of the epochs, then the alignment."""
    adversarial = config.alignment == "adversarial"

    def players(*, aligned: bool) -> tuple[Player, ...]:
        vae = Player(VAE, partial(game.vae_loss, aligned=aligned), clipped_adam)
        critic = Player(CRITIC, game.critic_loss, critic_adam, int(aligned))
        return (critic, vae) if adversarial else (vae,)

    stages = (
        Stage(players(aligned=False), config.pretrain, Sampling("per_view", "max")),
        Stage(players(aligned=True), 1.0 - config.pretrain),
    )
    names = tuple(side.name for side in game.sides)
    return Model(
        game.init,
        players(aligned=True),
        "sequential",
        Tasks(game.encode, game.decode, views=game.views),
        monitor=f"{VAE}/watched" if adversarial else "watched",
        sampling=Sampling("matched", views=(names[0], names[1])),
        stages=stages if config.pretrain else (),
    )


@lru_cache(maxsize=32)
def build(config: Config, spec: DataSpec) -> Model:
    """Return the model for data of this shape, as pure functions; the same for equal arguments.

    Raises:
      InputError: views that do not tell which is which, or a contrastive alignment of fewer than
        two cohorts.
    """
    if config.alignment == "contrastive" and len(spec.classes) < 2:
        raise InputError(
            f"expected at least 2 cohorts to contrast, found {len(spec.classes)}; name the column "
            "of cohorts with --label, or take --alignment adversarial"
        )
    views: dict[str, ViewSpec] = {view.name: view for view in spec.views}
    atac, rna = (views[name] for name in config.modelled(spec.names))
    window = window_of(config, atac)
    reader = OneView(atac.name, network_of(config, atac, window), config.reduction)
    own = StackVae(rna.features, config.rna_hidden, config.latent, read=rna.encoded)
    sides = reader, OneView(rna.name, own, config.reduction)
    rest = game_model(config, Game(config, len(spec.classes), sides, Critic()))
    return rest if window is None else with_windows(window, first_level(config, window), rest)
