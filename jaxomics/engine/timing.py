"""How fast training is, next to what the machine can do: steps, matrix products, memory.

The step is the compiled program that `fit` runs. Its share of the machine's ceiling divides the
operations of its matrix products, which no training step can avoid, by all of its time.
"""

import resource
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxomics.data.batch import Data, Standard
from jaxomics.engine.fit import prepare
from jaxomics.engine.state import Split, Train
from jaxomics.models.base import Hyper, Model
from jaxomics.types import Array, Params

SIZES = (2048, 4096)
"""Rows of the square matrices whose product sets the ceiling."""


class Layer(NamedTuple):
    """A weight matrix [inputs, outputs], and whether anyone needs the gradient of its input."""

    inputs: int
    outputs: int
    differentiated: bool


class StepTime(NamedTuple):
    """A timed run.

    Attributes:
      begin_s: fresh parameters and moments, compilation of that included.
      compile_s: tracing, lowering and compiling the training program, or reading it from disk.
      steps_s: seconds per step, one entry per call of the program.
      parameters: trainable scalars.
      program_gib: what the compiler plans to hold at once, arguments included, in GiB.
      loss: what the model monitors, in the last epoch.
    """

    begin_s: float
    compile_s: float
    steps_s: list[float]
    parameters: int
    program_gib: float
    loss: float


def time_training(
    model: Model,
    data: Data,
    standard: Standard,
    split: Split,
    hyper: Hyper,
    train: Train,
    *,
    calls: int,
    epochs: int,
    warmup: int = 1,
) -> tuple[StepTime, Params]:
    """Train as `fit` does, `calls` times `epochs` epochs after `warmup`; return times, parameters.

    Args:
      model, data, standard, split, hyper, train: as for `fit`.
      calls: timed calls of the compiled program.
      epochs: epochs per call.
      warmup: epochs before the first timed call.
    """
    begun = time.perf_counter()
    prepared = prepare(model, data, standard, split, hyper, train, key=jax.random.key(0))
    carry = jax.block_until_ready((prepared.state, prepared.control))
    begin_s, begun = time.perf_counter() - begun, time.perf_counter()
    settings, program, steps = prepared.settings, prepared.program, prepared.shape[0]
    del prepared
    zero = jnp.zeros((), jnp.int32)
    compiled = program.lower(*carry, *settings, zero, zero).compile()
    compile_s, done, seconds, loss = time.perf_counter() - begun, 0, [], float("nan")
    for count in [warmup] * (warmup > 0) + [epochs] * calls:
        begun = time.perf_counter()
        state, control, metrics, _ = compiled(
            *carry, *settings, jnp.asarray(done, jnp.int32), jnp.asarray(count, jnp.int32)
        )
        carry = jax.block_until_ready((state, control))
        seconds.append((time.perf_counter() - begun) / (count * steps))
        done, loss = done + count, float(metrics["train"][model.monitor][count - 1])
    params = carry[0].params
    size = sum(leaf.size for leaf in jax.tree.leaves(params))
    plan = compiled.memory_analysis()
    planned = plan.argument_size_in_bytes + plan.temp_size_in_bytes
    planned += plan.output_size_in_bytes - plan.alias_size_in_bytes
    timed = seconds[1:] if warmup else seconds
    return StepTime(begin_s, compile_s, timed, size, planned / 2**30, loss), params


def layers(params: Params, first: Callable[[str], bool]) -> list[Layer]:
    """Return the dense layers of a model.

    Args:
      params: nested dicts of arrays; weight matrices are named `kernel`.
      first: tells from a layer's path whether it reads data, whose gradient nobody needs.

    >>> layers({"a": {"kernel": np.ones((3, 2))}}, lambda path: True)
    [Layer(inputs=3, outputs=2, differentiated=False)]
    """
    found = []
    for keys, leaf in jax.tree_util.tree_leaves_with_path(params):
        path = "/".join(str(key.key) for key in keys)  # pyright: ignore
        if path.endswith("kernel"):
            inputs, outputs = leaf.shape
            found.append(Layer(inputs, outputs, not first(path)))
    return found


def product_flops(dense: list[Layer], batch: int) -> float:
    """Return the operations of all matrix products of a step.

    Forward, weight gradient and input gradient take 2 operations per weight and row each.

    >>> product_flops([Layer(3, 2, False), Layer(2, 1, True)], 10)
    360.0
    """
    return float(sum(batch * d.inputs * d.outputs * (6 if d.differentiated else 4) for d in dense))


def time_products(dense: list[Layer], batch: int, steps: int = 5) -> float:
    """Return the seconds per step of nothing but a step's matrix products, of the same shapes.

    They run in one compiled scan, as in training. Each product reads an operand that changes with
    the step and lands in the carry, so that the compiler can drop none of them.
    """
    weights = [_draw(d.inputs, d.outputs) for d in dense]
    rows = [(_draw(batch, d.inputs), _draw(batch, d.outputs)) for d in dense]

    def products(weights: list[Array], rows: list[tuple[Array, Array]], shift: Array) -> list:
        out = []
        for layer, w, (x, g) in zip(dense, weights, rows, strict=True):
            x, g = x + shift, g + shift
            out.append((x @ w, x.T @ g, g @ w.T if layer.differentiated else shift))
        return out

    def run(weights: list[Array], rows: list[tuple[Array, Array]]) -> list:
        start = jax.eval_shape(products, weights, rows, jnp.zeros(()))
        carry = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), start)
        shifts = jnp.linspace(0.0, 1.0, steps)
        return jax.lax.scan(lambda _, s: (products(weights, rows, s), None), carry, shifts)[0]

    program = jax.jit(run).lower(weights, rows).compile()
    return best_of(lambda: jax.block_until_ready(program(weights, rows)), 2) / steps


def ceiling(repeats: int = 4) -> dict[str, float]:
    """Return the best rate of a large square float32 product by library, in GFLOP/s."""
    rates = {"numpy": 0.0, "jax": 0.0}
    product = jax.jit(jnp.matmul)
    for size in SIZES:
        a, b = _draw(size, size), _draw(size, size)
        host_a, host_b = np.asarray(a), np.asarray(b)
        flops = 2e-9 * size**3
        by_numpy = best_of(lambda a=host_a, b=host_b: np.matmul(a, b), repeats)
        by_jax = best_of(lambda a=a, b=b: jax.block_until_ready(product(a, b)), repeats)
        rates["numpy"] = max(rates["numpy"], flops / by_numpy)
        rates["jax"] = max(rates["jax"], flops / by_jax)
    return rates


def best_of(work: Callable[[], Any], repeats: int) -> float:
    """Return the fewest seconds that `work` took, after one call that does not count."""
    work()
    seconds = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


def peak_gib() -> float:
    """Return the most memory that this process has held, in GiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform != "darwin" else peak / 2**30


def _draw(*shape: int) -> Array:
    """Return standard normal float32 numbers of a shape."""
    return jnp.asarray(np.random.default_rng(0).standard_normal(shape, np.float32))
