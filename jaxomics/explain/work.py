"""The work of an explanation: a network, samples as it reads them, programs that explain them."""

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxomics.attribution.jacobian import cheaper
from jaxomics.attribution.precision import as_double
from jaxomics.attribution.summary import (
    Account,
    Plan,
    Question,
    Samples,
    Totals,
    Way,
    make_strip,
)
from jaxomics.attribution.targets import CONDITIONALS, Network, Target, bottleneck
from jaxomics.data.batch import DataSpec
from jaxomics.data.container import MultiOmics
from jaxomics.engine.devices import default_devices, make_layout
from jaxomics.engine.log import Progress
from jaxomics.errors import InputError
from jaxomics.halfway import Halfway
from jaxomics.types import Array
from jaxomics.version import __version__

if TYPE_CHECKING:
    from jaxomics.estimator import Estimator
    from jaxomics.explain.run import How

CALLS = 50
"""About so many calls of the compiled program, between which progress is told and kept."""
MOST_ROWS = 32
"""Most samples per device and call."""
LITTLE = 2e8
"""Samples x draws x latents x features of work that takes less time than to compile it well."""


class Work:
    """One network or ensemble, the samples as it reads them, and programs that explain them."""

    def __init__(
        self,
        estimator: "Estimator",
        cohort: MultiOmics,
        plan: Plan,
        how: "How",
        background: np.ndarray,
        seed: int,
    ):
        self.plan, self.how, self.seed = plan, how, seed
        self.model, self.spec = estimator.model_, estimator.spec_
        config = estimator.settings.config
        self.latent: int = config.latent
        self.silent = bool(getattr(config, "presence", False))
        self.absent = told(config) if how.missing == "auto" else how.missing == "absent"
        self.features, self.columns = read_features(estimator), read_columns(estimator)
        self.reader = self.model
        if any(isinstance(columns, np.ndarray) for columns in self.columns.values()):
            self.reader = estimator.entry.build(config, read_alone(self.spec))
        self.samples = self._samples(estimator, cohort, background)
        members = estimator.members_[: plan.members]
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)
        self.networks = self._cast(Network(stacked.params, stacked.collections, {}))

    def _samples(
        self, estimator: "Estimator", cohort: MultiOmics, background: np.ndarray
    ) -> Samples:
        """Return the cohort in standard units as the networks read it."""
        data = estimator.data(cohort)
        x, observed = {}, {}
        for name in self.spec.names:
            columns = self.columns[name]
            values = estimator.standard_.read(name, data.x[name], data.observed[name])
            x[name] = values[:, columns]
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

    def run(
        self, asked: list[Target], rows: np.ndarray, halfway: Halfway, part: int, quiet: bool
    ) -> tuple[Totals, Account]:
        """Explain some targets for all rows; everything comes back to the host.

        Args:
          asked: the targets.
          rows: of the samples.
          halfway: where what is done is kept, and found.
          part: its number there.
          quiet: show no progress.
        """
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

        work = len(rows) * self.plan.draws * self.latent * sum(map(len, self.features.values()))
        program = layout.strips(own_strip, hasty=work < LITTLE)
        shared = layout.share((self.networks, self.samples))
        size = len(devices)
        length = int(np.clip(-(-len(rows) // (size * CALLS)), 1, MOST_ROWS))
        calls = -(-len(rows) // (size * length))
        padded = np.full(calls * size * length, -1)
        padded[: len(rows)] = rows
        strips = padded.reshape(calls, size, length)
        progress = Progress("explain " + ", ".join(t.text for t in asked), len(rows), quiet=quiet)
        add = jax.jit(lambda a, b: jax.tree.map(jnp.add, a, b), donate_argnums=0)
        done, accounts, totals = 0, [], None
        if halfway.holds(part):
            like = jax.eval_shape(program, shared, strips[0])
            done, (totals, account) = halfway.load(part, like)
            accounts, totals = [account], layout.spread(jax.tree.map(jnp.asarray, totals))
        for call in range(done, calls):
            found, account = program(shared, layout.spread(strips[call]))
            totals = found if totals is None else add(totals, found)
            accounts.append(jax.tree.map(_flat, layout.home(account)))
            progress.update(min((call + 1) * size * length, len(rows)), "samples")
            if halfway.due:
                halfway.save(part, call + 1, (layout.home(totals), _under(accounts)))
        progress.close()
        host = jax.tree.map(lambda leaf: np.asarray(leaf).sum(axis=0), layout.home(totals))
        return host, jax.tree.map(lambda leaf: leaf[: len(rows)], _under(accounts))

    def fingerprint(self, asked: list[Target], rows: np.ndarray) -> str:
        """Return a hash of all that decides the result: what is read, asked, and computed on."""
        versions, texts = (__version__, jax.__version__), [target.text for target in asked]
        settings = versions, self._devices(), self.plan, self.how, self.seed, self.absent, texts
        found = hashlib.sha256(repr(settings).encode())
        for leaf in jax.tree.leaves((rows, self.networks, self.samples)):
            found.update(np.asarray(leaf).tobytes())
        return found.hexdigest()

    def _question(self, asked: list[Target]) -> Question:
        """Return the question, and the way that costs less unless one was named."""
        codes = self.model.tasks.codes is not None and self.model.tasks.codes.width < self.latent
        stop = codes or self._stops_early(asked)
        reader = None if self.reader is self.model else self.reader
        network = bottleneck(self.model, self.spec, asked, reader, stop=stop, codes=codes)
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
    views = tuple(replace(view, features=view.inputs, encoded=None) for view in spec.views)
    return replace(spec, views=views, links=())


def told(config: Any) -> bool:
    """Are networks told which of their inputs were measured?"""
    return bool(getattr(config, "presence", False) or getattr(config, "rescale", False))


def read_columns(estimator: "Estimator") -> dict[str, np.ndarray | slice]:
    """Return the columns of each view that the networks read, and so are explained."""
    encoded = {view.name: view.encoded for view in estimator.spec_.views}
    # What share of a view is there depends on all its features, and so may linked features.
    if told(estimator.settings.config) or estimator.spec_.links:
        encoded = dict.fromkeys(encoded)
    return {
        name: slice(None) if columns is None else np.asarray(columns)
        for name, columns in encoded.items()
    }


def read_features(estimator: "Estimator") -> dict[str, tuple[str, ...]]:
    """Return the names of the features that are explained, by view, conditionals among them.

    Raises:
      InputError: a view has the name that conditionals have in explanations.
    """
    if CONDITIONALS in estimator.preprocess_.views:
        raise InputError(
            f"expected no view named {CONDITIONALS!r}, which is how conditionals are called in "
            "explanations; rename it"
        )
    columns = read_columns(estimator)
    return {
        name: tuple(np.asarray(fitted.features)[columns[name]])
        for name, fitted in estimator.preprocess_.views.items()
    } | {CONDITIONALS: tuple(estimator.conditionals_.names)}


def _under(accounts: list[Account]) -> Account:
    """Return accounts of samples under each other."""
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *accounts)


def _flat(leaf: np.ndarray) -> np.ndarray:
    """Return [devices, rows, k] as [devices x rows, k]."""
    return np.asarray(leaf).reshape(-1, leaf.shape[-1])


def joined(parts: list[tuple[Totals, Account]], blocks: list[int]) -> tuple[Totals, Account]:
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
