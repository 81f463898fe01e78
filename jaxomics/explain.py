"""Explaining a fitted estimator: from questions to streamed attributions of all samples.

Attributions are those of the networks: what residual factors add to completed cells of measured
views is no part of them. A question about latents is asked of the first member of an ensemble,
like `Estimator.transform`; other questions are asked of the mean of all members.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from jaxomics.attribution.jacobian import cheaper
from jaxomics.attribution.precision import as_double, double
from jaxomics.attribution.summary import (
    Account,
    Method,
    Plan,
    Question,
    Samples,
    Totals,
    Way,
    make_strip,
)
from jaxomics.attribution.targets import CONDITIONALS, Network, Target, bottleneck, resolve
from jaxomics.data.batch import DataSpec
from jaxomics.data.container import MultiOmics
from jaxomics.engine.devices import default_devices, make_layout, use_compilation_cache
from jaxomics.engine.log import Progress
from jaxomics.errors import InputError, unknown
from jaxomics.explanation import Explanation
from jaxomics.types import Array

if TYPE_CHECKING:
    from jaxomics.estimator import Estimator

CALLS = 50
"""About so many calls of the compiled program, between which progress is told."""
MOST_ROWS = 32
"""Most samples per device and call."""


@dataclass(frozen=True)
class How:
    """How to explain.

    Attributes:
      method: `expected` gradients (Erion et al. 2021; what SHAP's GradientExplainer estimates),
        `integrated` gradients from the mean of the background, `smooth` gradients, `gradient`.
      draws: of each sample; nodes for `integrated`.
      plain: draw without strata and antithetic pairs, as GradientExplainer does.
      missing: entries that were not measured are `zero`s like others, as published, or `absent`,
        then they count for nothing and the network is told so; `auto` takes `absent` for networks
        that are told what is there.
      way: through the `latent`, or `outputs` one by one; the numbers are the same.
      memory: GiB that the computation may take.
      double: compute in float64.
    """

    method: Method = "expected"
    draws: int = 256
    plain: bool = False
    missing: Literal["auto", "zero", "absent"] = "auto"
    way: Literal["auto", "latent", "outputs"] = "auto"
    memory: float = 4.0
    double: bool = False


def explain(
    estimator: "Estimator",
    cohort: MultiOmics,
    targets: Sequence[str],
    how: How,
    *,
    samples: Sequence[str] | pd.Index | None = None,
    background: Sequence[str] | pd.Index | None = None,
    seed: int = 42,
    quiet: bool = True,
) -> Explanation:
    """Explain targets for all samples; see `Estimator.explain` for the arguments."""
    use_compilation_cache()
    asked = _targets(estimator, targets)
    rows = _rows(cohort, samples, "sample to explain")
    behind = rows if background is None else _rows(cohort, background, "background sample")
    if how.method in ("expected", "integrated") and len(behind) < 2:
        raise InputError(
            f"expected a background of two samples or more, found {len(behind)}; name more, or "
            "take the method smooth or gradient, which need none"
        )
    members = 1 if any(target.view is None for target in asked) else len(estimator.members_)
    plan = Plan(
        how.method,
        how.draws,
        stratified=not how.plain,
        antithetic=not how.plain,
        members=members,
    )
    with double() if how.double else nullcontext():
        work = _Work(estimator, cohort, plan, how, behind, seed)
        parts = work.parts(asked)
        found = [work.run(part, rows, quiet) for part in parts]
    owners = [next(i for i, t in enumerate(asked) if t.text == part[0].text) for part in parts]
    totals, account = _joined(found, owners)
    return Explanation(
        targets=tuple(asked),
        features=work.features,
        samples=cohort.samples[rows],
        inputs=work.inputs(rows),
        sampled=plan.sampled,
        complete=plan.method in ("expected", "integrated"),
        totals=totals,
        account=account,
    )


def _targets(estimator: "Estimator", targets: Sequence[str]) -> list[Target]:
    """Return the questions, those on latents first.

    Raises:
      InputError: none, an unknown one, or one asked twice.
    """
    if not targets:
        raise InputError("expected a target, found none; name latent, view:VIEW, ...")
    features = {name: list(v.features) for name, v in estimator.preprocess_.views.items()}
    latent = estimator.settings.config.latent
    asked = [resolve(text, features, latent) for text in targets]
    if len(set(targets)) < len(targets):
        raise InputError(f"expected each target once, found {', '.join(targets)}")
    return sorted(asked, key=lambda target: target.view is not None)


def _rows(cohort: MultiOmics, samples: Sequence[str] | pd.Index | None, what: str) -> np.ndarray:
    """Return the rows of some samples; all by default."""
    if samples is None:
        return np.arange(len(cohort.samples))
    rows = cohort.samples.get_indexer(pd.Index(samples))
    if not len(rows):
        raise InputError(f"expected a {what}, found none")
    if (rows < 0).any():
        raise unknown(what, str(pd.Index(samples)[rows < 0][0]), cohort.samples)
    return rows


class _Work:
    """One network or ensemble, the samples as it reads them, and programs that explain them."""

    def __init__(
        self,
        estimator: "Estimator",
        cohort: MultiOmics,
        plan: Plan,
        how: How,
        background: np.ndarray,
        seed: int,
    ):
        self.plan, self.how, self.seed = plan, how, seed
        self.model, self.spec = estimator.model_, estimator.spec_
        config = estimator.settings.config
        self.latent: int = config.latent
        told = bool(getattr(config, "presence", False) or getattr(config, "rescale", False))
        self.silent = bool(getattr(config, "presence", False))
        self.absent = told if how.missing == "auto" else how.missing == "absent"
        self.encoded = {view.name: view.encoded for view in self.spec.views}
        self.reader = self.model
        # What share of a view is there depends on all its features, and so may linked features.
        if told or self.spec.links:
            self.encoded = dict.fromkeys(self.encoded)
        elif any(columns is not None for columns in self.encoded.values()):
            self.reader = estimator.entry.build(config, read_alone(self.spec))
        self.features = {
            name: tuple(np.asarray(fitted.features)[self._columns(name)])
            for name, fitted in estimator.preprocess_.views.items()
        } | {CONDITIONALS: tuple(estimator.conditionals_.names)}
        if CONDITIONALS in estimator.preprocess_.views:
            raise InputError(
                f"expected no view named {CONDITIONALS!r}, which is how conditionals are called "
                "in explanations; rename it"
            )
        self.samples = self._samples(estimator, cohort, background)
        members = estimator.members_[: plan.members]
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)
        self.networks = self._cast(Network(stacked.params, stacked.collections, {}))

    def _columns(self, name: str) -> np.ndarray | slice:
        """Return the columns of a view that are explained."""
        encoded = self.encoded[name]
        return slice(None) if encoded is None else np.asarray(encoded)

    def _samples(
        self, estimator: "Estimator", cohort: MultiOmics, background: np.ndarray
    ) -> Samples:
        """Return the cohort in standard units as the networks read it."""
        data = estimator.data(cohort)
        x, observed = {}, {}
        for name in self.spec.names:
            columns = self._columns(name)
            values = estimator.standard_.apply(name, data.x[name])
            x[name] = jnp.where(data.observed[name], values, 0.0)[:, columns]
            seen = data.observed[name][:, columns]
            observed[name] = seen if self.absent else jnp.ones((1, seen.shape[1]), bool)
        return self._cast(
            Samples(x | {CONDITIONALS: data.conditionals}, observed, jnp.asarray(background))
        )

    def _cast(self, tree: Any) -> Any:
        """Return a pytree in the precision asked for."""
        return as_double(tree) if self.how.double else tree

    def parts(self, asked: list[Target]) -> list[list[Target]]:
        """Return the targets in parts that are explained one after the other, to save memory.

        Raises:
          InputError: not even one output of one sample fits.
        """
        features = sum(len(names) for names in self.features.values())
        held = 4 * self.plan.members * self.plan.groups + 4 * self.plan.members
        each = features * held * (8 if self.how.double else 4)
        most = int(self.how.memory * 2**30 / 2 / len(self._devices()) / each)
        if most < 1:
            need = 2 * each * len(self._devices()) / 2**30
            raise InputError(
                f"expected memory for one output of one sample, {need:.2g} GiB, found "
                f"{self.how.memory:g}; raise the limit"
            )
        total = sum(len(target.names) for target in asked)
        if total <= most:
            return [asked]
        return [
            [target._replace(names=target.names[i:j], columns=target.columns[i:j])]
            for target in asked
            for i, j in ((i, i + most) for i in range(0, len(target.names), most))
        ]

    def _devices(self) -> list[Any]:
        """Return the devices to compute on."""
        return default_devices()

    def run(self, asked: list[Target], rows: np.ndarray, quiet: bool) -> tuple[Totals, Account]:
        """Explain some targets for all rows; everything comes back to the host."""
        question = self._question(asked)
        devices = self._devices()
        layout = make_layout(len(devices), devices)
        strip = make_strip(
            question,
            self.plan,
            absent=self.absent,
            silent=self.silent,
            chunk=self._chunk(question),
        )
        key = jax.random.key(self.seed)

        def own_strip(shared: tuple[Network, Samples], own: Array) -> tuple[Totals, Account]:
            return strip(*shared, own, key)

        program = layout.strips(own_strip)
        shared = layout.share((self.networks, self.samples))
        size = len(devices)
        length = int(np.clip(-(-len(rows) // (size * CALLS)), 1, MOST_ROWS))
        calls = -(-len(rows) // (size * length))
        padded = np.full(calls * size * length, -1)
        padded[: len(rows)] = rows
        totals: Totals | None = None
        accounts = []
        progress = Progress("explain " + ", ".join(t.text for t in asked), len(rows), quiet=quiet)
        add = jax.jit(lambda a, b: jax.tree.map(jnp.add, a, b), donate_argnums=0)
        for call, part in enumerate(padded.reshape(calls, size, length)):
            found, account = program(shared, layout.spread(part))
            totals = found if totals is None else add(totals, found)
            accounts.append(jax.tree.map(_flat, layout.home(account)))
            progress.update(min((call + 1) * size * length, len(rows)), "samples")
        progress.close()
        host = jax.tree.map(lambda leaf: np.asarray(leaf).sum(axis=0), layout.home(totals))
        joined = jax.tree.map(lambda *leaves: np.concatenate(leaves)[: len(rows)], *accounts)
        return host, joined

    def _question(self, asked: list[Target]) -> Question:
        """Return the question, and the way that costs less unless one was named."""
        network = bottleneck(
            self.model, self.spec, asked, self.reader, stop=self._stops_early(asked)
        )
        sizes = np.array([len(target.names) for target in asked])
        stops = np.cumsum(sizes)
        latents = [target.columns for target in asked if target.view is None]
        chosen = np.concatenate(latents) if latents else np.zeros(0, int)
        all_latents = not len(chosen) or np.array_equal(chosen, np.arange(self.latent))
        way: Way = "latent" if self.how.way == "auto" else self.how.way
        if self.how.way == "auto" and not len(chosen):
            first = jax.tree.map(lambda leaf: leaf[0], (self.networks, self.samples))
            one = Network(first[0].params, first[0].collections, first[1].observed)
            way = "latent" if cheaper(network, one, first[1].x) else "outputs"
        blocks = tuple(zip((stops - sizes).tolist(), stops.tolist(), strict=True))
        return Question(network, chosen, blocks, way if all_latents else "outputs")

    def _stops_early(self, asked: list[Target]) -> bool:
        """Have the decoders' last hidden layers fewer units than there are outputs?"""
        readout = self.model.tasks.readout
        if self.model.tasks.hidden is None or readout is None:
            return False
        member = jax.tree.map(
            lambda leaf: leaf[0], (self.networks.params, self.networks.collections)
        )
        kernels = jax.eval_shape(readout, *member)
        written = {target.view: len(target.columns) for target in asked if target.view is not None}
        return sum(len(kernels[view]) for view in written) < sum(written.values())

    def inputs(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Return what is explained [n, features] per view; NaN where it counts for nothing."""
        found = {}
        for name, values in self.samples.x.items():
            seen = self.samples.observed.get(name)
            held = np.asarray(values)[rows]
            absent = self.absent and seen is not None
            found[name] = np.where(np.asarray(seen)[rows], held, np.nan) if absent else held
        return found

    def _chunk(self, question: Question) -> int:
        """Return how many points, or outputs, to take at once within the memory."""
        size = 8 if self.how.double else 4
        room = self.how.memory * 2**30 / 4 / len(self._devices()) / size
        widest = max(len(names) for names in self.features.values())
        if question.way == "latent":
            each = self.latent * (3 * widest + question.bottleneck.outputs)
            return int(np.clip(room / each, 1, self.plan.points))
        features = sum(len(names) for names in self.features.values())
        return int(np.clip(room / (3 * features * self.plan.points), 1, question.outputs))


def read_alone(spec: DataSpec) -> DataSpec:
    """Return a specification of the encoders' columns alone, for a model that only encodes."""
    views = tuple(
        replace(view, features=view.inputs, encoded=None, levels=()) for view in spec.views
    )
    return replace(spec, views=views, links=())


def _flat(leaf: np.ndarray) -> np.ndarray:
    """Return [devices, rows, k] as [devices x rows, k]."""
    return np.asarray(leaf).reshape(-1, leaf.shape[-1])


def _joined(parts: list[tuple[Totals, Account]], blocks: list[int]) -> tuple[Totals, Account]:
    """Return results for parts of the outputs as those of all, in their order.

    Args:
      parts: results, each for a part of one target, or one for all.
      blocks: for each part the number of its target.
    """
    if len(parts) == 1:
        return parts[0]
    totals, accounts = [part[0] for part in parts], [part[1] for part in parts]

    def outputs(*leaves: np.ndarray) -> np.ndarray:
        return np.concatenate(leaves, axis=-2)

    def summed(*leaves: np.ndarray) -> np.ndarray:
        starts = np.unique(blocks, return_index=True)[1]
        return np.add.reduceat(np.concatenate(leaves, axis=-2), starts, axis=-2)

    def errors(*leaves: np.ndarray) -> np.ndarray:
        # Errors of parts may be fully correlated, since they share their draws.
        return summed(*[np.sqrt(leaf) for leaf in leaves]) ** 2

    joins = dict.fromkeys(Totals._fields, outputs) | {"by_member": summed, "block_variance": errors}
    whole = Totals(
        **{
            name: jax.tree.map(join, *[getattr(part, name) for part in totals])
            for name, join in joins.items()
        }
    )
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(a, name) for a in accounts], axis=1)
        for name in Account._fields[:3]
    }
    return whole, Account(**joined, values=None)
