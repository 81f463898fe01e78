"""OmiEmbed: a VAE of several omics whose latent also predicts classes, values and survival.

Zhang et al., "OmiEmbed: A Unified Multi-Task Deep Learning Framework for Multi-Omics Data",
Cancers 2021, doi 10.3390/cancers13123047.

All views are encoded into one Gaussian z and decoded from it; heads read the mean of z.

    h       = blocks([path_v(x_v)]_v),  mu = W h + b,  log s2 = W h + b
    L_embed = mean over views of R_v + k_kl KL / latent        R: observed cells
    L_down  = sum_t k_t w_t L_t      cross-entropy, absolute error, MTLR (losses.survival)
    phase 1: the VAE moves by L_embed
    phase 2: the heads move by L_down, the VAE rests
    phase 3: both move by k_embed L_embed + L_down

With `gradnorm` the weights w_t move as well in phase 3 (Chen et al., "GradNorm", ICML 2018): with
g_t = w_t |dL_t / dW| for the layer W of the mean, and r_t = L_t / L_t at the start,

    L_w = sum_t |g_t - mean(g) (r_t / mean(r))^alpha|,  then w is scaled to the sum T

Without classes and targets it is the VAE alone. docs/models/omiembed.md lists the deviations.
"""

import math
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import ClassVar

import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxomics.config import Choice, Float, Space
from jaxomics.data.batch import Batch, DataSpec
from jaxomics.errors import InputError
from jaxomics.losses.distance import Distance
from jaxomics.models.base import Model, Player, Stage, Tasks, Variables
from jaxomics.models.gradnorm import keep_sum
from jaxomics.models.omiembed_losses import (
    CLASS,
    HEADS,
    VAE,
    WEIGHTS,
    Losses,
    Task,
    ValueLoss,
    tasks_of,
)
from jaxomics.models.omiembed_networks import Heads, HeadSpec, Vae
from jaxomics.models.optimizers import Decay, adam
from jaxomics.nn.initial import Rule, start_by
from jaxomics.nn.norm_blocks import Mode
from jaxomics.types import Array, Collections, Key, Params, Views

FIRST_MOMENT = 0.5
"""Decay of Adam's first moment."""


@dataclass(frozen=True)
class Config:
    """What decides shapes and the form of the loss; defaults are the paper's.

    Attributes:
      latent: size of z.
      hidden: blocks of each view's path, reversed in the decoder; the first one gives way to the
        readers of groups, where the view has them.
      view_hidden: the same for single views, as `rna:2048,1024`.
      joint: blocks between the joined paths and z.
      group_width: units that each group of features (chromosome) is read into.
      grouped: views whose features are read and written by chromosome, where their feature table
        tells it; those on no known chromosome form one more group. Names that a cohort lacks are
        ignored.
      reconstruction: `ce` is the cross entropy of values in [0, 1], whose decoder writes logits;
        or `l1`, `mse`.
      class_hidden, value_hidden, survival_hidden: blocks of the heads.
      survivors: share of the samples that outlive the last edge, as the survival head starts
        out; it has the events of the others spread evenly over the intervals. 0 starts all scores
        at 0, as published, where the last interval is one like all others.
      value_loss: of regression: `l1` or `mse`.
      phases: shares of the epochs that the three phases take; 0 leaves one out.
      gradnorm: let the weights of the tasks move in phase 3.
      decay: `coupled` adds weight decay to the gradient of every parameter, as published;
        `decoupled` is AdamW on weight matrices.
      initial: rule of the initial weights.
      fills: missing cells are read as the mean of their feature.
    """

    fills: ClassVar[bool] = True
    latent: int = 128
    hidden: tuple[int, ...] = (1024, 1024)
    view_hidden: tuple[str, ...] = ()
    joint: tuple[int, ...] = (512,)
    group_width: int = 128
    grouped: tuple[str, ...] = ("methylation",)
    reconstruction: Distance = "ce"
    class_hidden: tuple[int, ...] = (128, 64)
    value_hidden: tuple[int, ...] = (128, 64)
    survival_hidden: tuple[int, ...] = (512, 256)
    survivors: float = 0.0
    value_loss: ValueLoss = "l1"
    phases: tuple[float, float, float] = (0.25, 0.25, 0.5)
    gradnorm: bool = False
    decay: Decay = "coupled"
    initial: Rule = "normal"

    def __post_init__(self) -> None:
        """Check the shares."""
        if not 0 <= self.survivors < 1:
            raise InputError(f"expected survivors from 0 to below 1, found {self.survivors}")
        if len(self.phases) != 3 or min(self.phases) < 0 or abs(sum(self.phases) - 1) > 1e-6:
            raise InputError(f"expected three phases whose shares add up to 1, found {self.phases}")


class Hyper(struct.PyTreeNode):
    """Settings that may vary between replicas of one compiled run; defaults are the paper's.

    Attributes:
      learning_rate: of Adam.
      weight_decay: of Adam; see `Config.decay`.
      dropout: rate in the VAE.
      class_dropout, value_dropout, survival_dropout: rates in the heads.
      kl_weight: k_kl.
      embed_weight: k_embed of phase 3.
      task_weight: k_t by name of the task (`class`, or a target's); 1 where not named.
      gradnorm_rate: learning rate of the weights of the tasks.
      gradnorm_alpha: how much slower tasks are favoured.
    """

    learning_rate: float = 1e-4
    weight_decay: float = 1e-4
    dropout: float = 0.2
    class_dropout: float = 0.2
    value_dropout: float = 0.01
    survival_dropout: float = 0.5
    kl_weight: float = 0.01
    embed_weight: float = 0.001
    task_weight: dict[str, float] = field(default_factory=dict)
    gradnorm_rate: float = 1e-3
    gradnorm_alpha: float = 1.5


SPACES: dict[str, Space] = {
    "default": {
        "learning_rate": Float(2e-4, 5e-3, log=True),
        "weight_decay": Float(0.01, 0.3, log=True),
        "dropout": Float(0.2, 0.7),
        "kl_weight": Float(1e-3, 0.1, log=True),
        "latent": Choice((16, 32, 64, 128)),
        "hidden": Choice(((128,), (256,), (512,), (1024, 1024))),
        "joint": Choice(((64,), (128,), (512,))),
    }
}
"""What a search draws from, around the preset `recommended`."""


@lru_cache(maxsize=32)
def build(config: Config, spec: DataSpec) -> Model:
    """Return OmiEmbed for data of this shape, as pure functions; the same for equal arguments.

    Raises:
      InputError: widths that cannot be read, a width for an unknown view, or `gradnorm` with
        fewer than two tasks.
    """
    views = [v if v.name in config.grouped else replace(v, groups=()) for v in spec.views]
    spec = replace(spec, views=tuple(views))
    tasks = tasks_of(spec)
    if config.gradnorm and len(tasks) < 2:
        raise InputError(
            f"expected two tasks or more for gradnorm, found {len(tasks)}; switch it off"
        )
    vae = Vae(spec, paths_of(config, spec), config.joint, config.latent, config.group_width)
    heads = Heads(tuple(head_of(config, task, alone=len(tasks) == 1) for task in tasks))
    losses = Losses(spec, tasks, vae, heads, config.reconstruction, config.value_loss)

    def init(key: Key, batch: Batch) -> Variables:
        keys, weight = jax.random.split(key), jnp.ones(len(batch.weight[spec.names[0]]))
        shown, z = dict.fromkeys(spec.names, weight), jnp.zeros((len(weight), config.latent))
        drawn = {VAE: start_by(config.initial, vae, keys[0], batch.x, shown, weight)}
        if tasks:
            modes = dict.fromkeys([task.name for task in tasks], Mode(train=True))
            drawn[HEADS] = start_by(config.initial, heads, keys[1], z, weight, modes)
        params = {name: own["params"] for name, own in drawn.items()}
        collections = {n: own["batch_stats"] for n, own in drawn.items() if "batch_stats" in own}
        if config.gradnorm:
            params[WEIGHTS] = {"weight": jnp.ones(len(tasks))}
            collections[WEIGHTS] = {"initial": jnp.zeros(len(tasks))}
        return Variables(params, collections)

    stages = stages_of(config, losses)
    return Model(
        init,
        stages[-1].players,
        "simultaneous",
        abilities(losses),
        monitor=f"{HEADS}/loss" if tasks else "reconstruction",
        stages=stages if len(stages) > 1 else (),
    )


def paths_of(config: Config, spec: DataSpec) -> tuple[tuple[int, ...], ...]:
    """Return the widths of the blocks of each view's path.

    >>> from jaxomics.data.batch import ViewSpec
    >>> spec = DataSpec((ViewSpec("rna", 9), ViewSpec("mirna", 5)))
    >>> paths_of(Config(view_hidden=("rna:2048,1024",)), spec)
    ((2048, 1024), (1024, 1024))
    """
    own = {}
    for text in config.view_hidden:
        view, _, widths = text.partition(":")
        numbers = [word.strip() for word in widths.split(",")]
        if view not in spec.names or not all(n.isdigit() and int(n) > 0 for n in numbers):
            raise InputError(
                f"expected widths of a view such as {spec.names[0]}:2048,1024, found {text!r}; "
                f"views: {', '.join(spec.names)}"
            )
        own[view] = tuple(int(number) for number in numbers)
    return tuple(own.get(name, config.hidden) for name in spec.names)


def head_of(config: Config, task: Task, *, alone: bool) -> HeadSpec:
    """Return the shape of a head; one of survival beside others has no norm, as published."""
    widths = {
        "class": config.class_hidden,
        "value": config.value_hidden,
        "survival": config.survival_hidden,
    }[task.kind]
    if task.kind == "survival":
        share = config.survivors
        last = math.log((1 - share) / (share * task.outputs)) if share else 0.0
        return HeadSpec(task.name, widths, task.outputs, alone, "tanh", last)
    return HeadSpec(task.name, widths, task.outputs, True, "leaky")


def stages_of(config: Config, losses: Losses) -> tuple[Stage, ...]:
    """Return the phases that take any share of a run, each with all players.

    Players move at the same time and see one state, so their passes through the networks are one.
    """
    rule = adam(config.decay, FIRST_MOMENT)

    def embed(*, whole: bool, updates: int = 1) -> Player:
        return Player(VAE, partial(losses.embed, whole=whole), rule, updates)

    def down(*, alone: bool, updates: int = 1) -> Player:
        return Player(HEADS, partial(losses.down, alone=alone), rule, updates)

    def weights(updates: int = 1) -> tuple[Player, ...]:
        player = Player(WEIGHTS, losses.pace, weight_rule, updates)
        return (player,) if config.gradnorm else ()

    if not losses.tasks:
        return (Stage((embed(whole=False),), 1.0),)
    phases = (
        (embed(whole=False), down(alone=False, updates=0), *weights(0)),
        (embed(whole=False, updates=0), down(alone=True), *weights(0)),
        (embed(whole=True), down(alone=False), *weights()),
    )
    return tuple(Stage(p, share) for p, share in zip(phases, config.phases, strict=True) if share)


def weight_rule(hyper: Hyper) -> optax.GradientTransformation:
    """Return the rule by which the weights of tasks move."""
    rate = optax.scale(-hyper.gradnorm_rate)
    return optax.chain(optax.scale_by_adam(b1=FIRST_MOMENT), rate, keep_sum())


def abilities(losses: Losses) -> Tasks:
    """Return what the fitted model can do, in evaluation mode."""
    spec, tasks = losses.spec, losses.tasks
    still = dict.fromkeys([task.name for task in tasks], Mode())

    def encode(params: Params, collections: Collections, batch: Batch) -> tuple[Array, Array]:
        mean, variance, _, _ = losses.encode(params, collections[VAE], batch, Mode())
        return mean, variance

    def decode(params: Params, collections: Collections, z: Array, conditionals: Array) -> Views:
        output = losses.write(params, collections[VAE], z)
        if losses.reconstruction != "ce":
            return output
        return {view: jax.nn.sigmoid(logits) for view, logits in output.items()}

    def judge(params: Params, collections: Collections, batch: Batch) -> Views:
        mean, _ = encode(params, collections, batch)
        weight = batch.weight[spec.names[0]]
        return losses.judge(params, collections.get(HEADS, {}), mean, weight, still)[0]

    def classify(params: Params, collections: Collections, batch: Batch) -> Views:
        return {"all": judge(params, collections, batch)[CLASS]}

    def risk(params: Params, collections: Collections, batch: Batch) -> Views:
        outputs = judge(params, collections, batch)
        return {task.name: outputs[task.name] for task in tasks if task.column is not None}

    classes = any(task.column is None for task in tasks)
    others = any(task.column is not None for task in tasks)
    return Tasks(
        encode, decode, classify=classify if classes else None, risk=risk if others else None
    )
