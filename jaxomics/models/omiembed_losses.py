"""The losses of OmiEmbed's players, and the terms that they are made of."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxomics.data.batch import Batch, DataSpec
from jaxomics.losses.adversarial import class_loss
from jaxomics.losses.distance import Distance, distance
from jaxomics.losses.divergence import gaussian_kl
from jaxomics.losses.masked import masked_mean, split_axis
from jaxomics.losses.survival import mtlr_loss
from jaxomics.models.base import Aux, Hyper
from jaxomics.models.gradnorm import layer_norms, pace_loss, started
from jaxomics.models.omiembed_networks import Heads, Vae
from jaxomics.nn.latent import draw
from jaxomics.nn.norm_blocks import Mode
from jaxomics.types import Array, Collections, Key, Params, Views

VAE, HEADS, WEIGHTS = "vae", "heads", "weights"
"""The players: networks, and the weights of tasks."""

CLASS = "class"
"""Name of the task that predicts the classes of the label column."""

ValueLoss = Literal["l1", "mse"]
"""`l1` absolute error, `mse` squared error."""


class Task(NamedTuple):
    """What one head predicts; fields as of `TargetSpec`, no column for the label column."""

    name: str
    kind: Literal["class", "value", "survival"]
    column: int | None
    outputs: int


def tasks_of(spec: DataSpec) -> tuple[Task, ...]:
    """Return what there is to predict: the classes of the label column, then the targets."""
    own = (Task(CLASS, "class", None, len(spec.classes)),) if len(spec.classes) > 1 else ()
    return own + tuple(Task(t.name, t.kind, t.column, t.outputs) for t in spec.targets)


def present(spec: DataSpec, batch: Batch) -> Views:
    """Return [b] per view, 1 where the sample has any value of the view."""
    return {v: jnp.any(batch.observed[v], axis=1).astype(jnp.float32) for v in spec.names}


def embed_terms(
    kind: Distance, spec: DataSpec, batch: Batch, mean: Array, variance: Array, output: Views
) -> dict[str, Array]:
    """Return the reconstruction, mean over views and by view, and the divergence of z.

    Args:
      kind: distance of reconstruction and values.
      spec: the data's views.
      batch: targets.
      mean, variance: of z, [b, latent].
      output: [b, features] per view; logits for `ce`.
    """
    errors = {v: distance(kind, output[v], batch.x[v], batch.observed[v]) for v in spec.names}
    divergence = gaussian_kl(mean, variance, batch.weight[spec.names[0]]) / mean.shape[1]
    whole = {"reconstruction": jnp.mean(jnp.stack(list(errors.values()))), "kl": divergence}
    return whole | {f"reconstruction/{view}": error for view, error in errors.items()}


def task_loss(task: Task, kind: ValueLoss, spec: DataSpec, batch: Batch, output: Array) -> Array:
    """Return L_t: the mean over the samples whose outcome is known; 0 without any.

    Args:
      task: what is predicted.
      kind: error of values.
      spec: the data's views.
      batch: labels and targets.
      output: of the head, [b, outputs].
    """
    first = spec.names[0]
    if task.column is None:
        return class_loss(output[None], batch.labels[first][None])
    target, known = (part[first][:, task.column] for part in (batch.targets, batch.known))
    if task.kind == "class":
        codes = jnp.where(known, target, -1).astype(jnp.int32)
        return class_loss(output[None], codes[None])
    weight = known.astype(jnp.float32)
    if task.kind == "survival":
        event = batch.targets[first][:, task.column + 1]
        return mtlr_loss(output, target, event, weight)
    error = output[:, 0] - target
    return masked_mean(jnp.abs(error) if kind == "l1" else error**2, weight)


class Losses(NamedTuple):
    """The players' losses, for data of one shape.

    Attributes:
      spec: the data's views.
      tasks: what the heads predict.
      vae, heads: the networks.
      reconstruction: distance of reconstruction and values.
      value_loss: error of values.
    """

    spec: DataSpec
    tasks: tuple[Task, ...]
    vae: Vae
    heads: Heads
    reconstruction: Distance
    value_loss: ValueLoss

    def embed(
        self,
        params: Params,
        collections: Collections,
        batch: Batch,
        key: Key,
        hyper: Hyper,
        *,
        train: bool,
        whole: bool,
    ) -> tuple[Array, Aux]:
        """Return the loss of the VAE: L_embed, or `whole`, k_embed L_embed + L_down."""
        modes = self._modes(hyper, key, train)
        mean, variance, _, statistics = self.encode(params, collections[VAE], batch, modes[VAE])
        z = draw(jax.random.fold_in(key, 1), mean, variance) if train else mean
        output, statistics = self.decode(params, statistics, z, batch, modes["decoder"])
        terms = embed_terms(self.reconstruction, self.spec, batch, mean, variance, output)
        total = terms["reconstruction"] + hyper.kl_weight * terms["kl"]
        if whole and self.tasks:
            losses, _ = self._judged(params, collections, batch, mean, modes)
            total = hyper.embed_weight * total + self._down(params, losses, hyper)
        return total, Aux({"loss": total} | terms, {VAE: statistics} if train else {})

    def down(
        self,
        params: Params,
        collections: Collections,
        batch: Batch,
        key: Key,
        hyper: Hyper,
        *,
        train: bool,
        alone: bool,
    ) -> tuple[Array, Aux]:
        """Return the loss of the heads, L_down.

        `alone`, while the VAE rests, its encoder's norms follow the batches all the same.
        """
        modes = self._modes(hyper, key, train)
        mean, _, _, moved = self.encode(params, collections[VAE], batch, modes[VAE])
        losses, statistics = self._judged(params, collections, batch, mean, modes)
        total = self._down(params, losses, hyper)
        after = {HEADS: statistics} | ({VAE: moved} if alone else {})
        return total, Aux({"loss": total} | losses, after if train else {})

    def pace(
        self,
        params: Params,
        collections: Collections,
        batch: Batch,
        key: Key,
        hyper: Hyper,
        *,
        train: bool,
    ) -> tuple[Array, Aux]:
        """Return the loss of the weights of tasks (`gradnorm`)."""
        modes = self._modes(hyper, key, train)
        mean, _, hidden, _ = self.encode(params, collections[VAE], batch, modes[VAE])

        def losses_of(mean: Array) -> Array:
            losses, _ = self._judged(params, collections, batch, mean, modes)
            return jnp.stack([losses[task.name] for task in self.tasks])

        losses, weight = losses_of(mean), params[WEIGHTS]["weight"]
        initial = started(collections[WEIGHTS]["initial"], losses)
        norms = layer_norms(losses_of, mean, hidden)
        total = pace_loss(weight, norms, losses, initial, hyper.gradnorm_alpha)
        metrics = {f"weight/{task.name}": weight[i] for i, task in enumerate(self.tasks)}
        return total, Aux({"loss": total} | metrics, {WEIGHTS: {"initial": initial}})

    def encode(self, params: Params, statistics: Any, batch: Batch, mode: Mode) -> tuple:
        """Return mean and variance of z, what the layer of the mean read, and new statistics."""
        weight = batch.weight[self.spec.names[0]]
        given = batch.x, present(self.spec, batch), weight, mode
        found, new = self._apply(self.vae, params[VAE], statistics, *given, method=Vae.encode)
        return *found, new

    def decode(
        self, params: Params, statistics: Any, z: Array, batch: Batch, mode: Mode
    ) -> tuple[Views, Any]:
        """Return the decoded views, and new statistics."""
        given = z, present(self.spec, batch), batch.weight[self.spec.names[0]], mode
        return self._apply(self.vae, params[VAE], statistics, *given, method=Vae.decode)

    def write(self, params: Params, statistics: Any, z: Array) -> Views:
        """Return the decoded views, of samples of which nothing else is known."""
        weight = jnp.ones(len(z))
        given = z, dict.fromkeys(self.spec.names, weight), weight, Mode()
        return self._apply(self.vae, params[VAE], statistics, *given, method=Vae.decode)[0]

    def judge(
        self, params: Params, statistics: Any, mean: Array, weight: Array, modes: dict[str, Mode]
    ) -> tuple[Views, Any]:
        """Return what each head says, [b, outputs], and new statistics."""
        return self._apply(self.heads, params[HEADS], statistics, mean, weight, modes)

    def _apply(self, module: Any, own: Params, statistics: Any, *given: Any, **how: Any) -> tuple:
        """Run a network; return its output and its statistics afterwards."""
        variables = {"params": own, "batch_stats": statistics}
        output, new = module.apply(variables, *given, mutable=["batch_stats"], **how)
        return output, new.get("batch_stats", {})

    def _judged(
        self,
        params: Params,
        collections: Collections,
        batch: Batch,
        mean: Array,
        modes: dict[str, Mode],
    ) -> tuple[dict[str, Array], Any]:
        """Return L_t by task, and new statistics of the heads."""
        weight = batch.weight[self.spec.names[0]]
        outputs, new = self.judge(params, collections.get(HEADS, {}), mean, weight, modes)
        losses = {
            task.name: task_loss(task, self.value_loss, self.spec, batch, outputs[task.name])
            for task in self.tasks
        }
        return losses, new

    def _down(self, params: Params, losses: dict[str, Array], hyper: Hyper) -> Array:
        """Return L_down, with the weights of the tasks as they are."""
        own = params[WEIGHTS]["weight"] if WEIGHTS in params else jnp.ones(len(self.tasks))
        factors = [
            hyper.task_weight.get(task.name, 1.0) * own[i] for i, task in enumerate(self.tasks)
        ]
        return jnp.sum(
            jnp.stack([f * losses[t.name] for f, t in zip(factors, self.tasks, strict=True)])
        )

    def _modes(self, hyper: Hyper, key: Key, train: bool) -> dict[str, Mode]:
        """Return how encoder (`vae`), `decoder` and heads (by task) run on a batch."""
        names = [VAE, "decoder", *(task.name for task in self.tasks)]
        if not train:
            return dict.fromkeys(names, Mode())
        rates = {
            "class": hyper.class_dropout,
            "value": hyper.value_dropout,
            "survival": hyper.survival_dropout,
        }
        each = [hyper.dropout, hyper.dropout, *(rates[task.kind] for task in self.tasks)]
        return {
            name: Mode(True, rate, jax.random.fold_in(key, 2 + i), split_axis())
            for i, (name, rate) in enumerate(zip(names, each, strict=True))
        }
