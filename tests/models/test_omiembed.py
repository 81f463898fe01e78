"""OmiEmbed: numbers of parameters, terms against NumPy, phases, groups, heads, GradNorm."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxomics.data.batch import Batch, DataSpec, Standard, TargetSpec, ViewSpec, gather, make_data
from jaxomics.engine.game import make_step, start_state
from jaxomics.engine.state import TrainState
from jaxomics.errors import InputError
from jaxomics.losses.survival import survival_curve
from jaxomics.models.base import Model, count_parameters, stage_models
from jaxomics.models.gradnorm import keep_sum, layer_norms, pace_loss
from jaxomics.models.omiembed import Config, Hyper, build, paths_of
from jaxomics.models.omiembed_losses import CLASS, embed_terms, task_loss, tasks_of

EDGES = 5
TARGETS = (
    TargetSpec("survival", "survival", 0, EDGES),
    TargetSpec("age", "value", 2),
    TargetSpec("grade", "class", 3, 3),
)
SPEC = DataSpec(
    (ViewSpec("rna", 6), ViewSpec("meth", 5, groups=((0, 2), (4,), (1, 3)))),
    classes=("a", "b"),
    targets=TARGETS,
)
SMALL: dict[str, Any] = {
    "latent": 3,
    "grouped": ("meth",),
    "hidden": (6, 5),
    "joint": (4,),
    "group_width": 2,
    "class_hidden": (4,),
    "value_hidden": (4,),
    "survival_hidden": (4,),
}


@pytest.fixture(scope="module")
def batch() -> Batch:
    rng = np.random.default_rng(0)
    views = {"rna": rng.random((12, 6)), "meth": rng.random((12, 5))}
    views["rna"][3, 2] = np.nan
    views["meth"][:2] = np.nan
    targets = np.stack(
        [
            rng.integers(0, EDGES + 1, 12).astype(float),
            rng.integers(0, 2, 12),
            rng.normal(size=12),
            rng.integers(0, 3, 12),
        ],
        axis=1,
    )
    targets[4, :2] = np.nan
    targets[5:7, 2] = np.nan
    labels = np.array([0, 1, -1] * 4)
    standard = Standard(
        {v: jnp.zeros(x.shape[1]) for v, x in views.items()},
        {v: jnp.ones(x.shape[1]) for v, x in views.items()},
    )
    data = make_data(views, labels=labels, targets=targets)
    return gather(data, standard, jnp.arange(12), jnp.ones(12))


def count(config: Config, spec: DataSpec) -> int:
    one = {v.name: jnp.zeros((2, v.features)) for v in spec.views}
    seen = {v: x == 0 for v, x in one.items()}
    both = dict.fromkeys(spec.names, jnp.ones(2))
    batch = Batch(one, seen, both, both, both, both)
    found = jax.eval_shape(build(config, spec).init, jax.random.key(0), batch)
    return count_parameters(found.params)


def dense(*widths: int, norm: bool = True) -> int:
    """Parameters of a stack: weights, and either scale and shift or a bias per unit."""
    return sum(a * b + (2 if norm else 1) * b for a, b in itertools.pairwise(widths))


def test_parameters_of_one_view():
    # A-1024-1024-512-(128, 128) and 128-512-1024-1024-A, as published.
    genes = 60_483
    expected = dense(genes, 1024, 1024, 512) + 2 * dense(512, 128, norm=False)
    expected += dense(128, 512, 1024, 1024) + dense(1024, genes, norm=False)
    assert count(Config(), DataSpec((ViewSpec("rna", genes),))) == expected
    heads = dense(128, 128, 64) + dense(64, 34, norm=False)
    classes = tuple(f"c{i}" for i in range(34))
    assert count(Config(), DataSpec((ViewSpec("rna", genes),), classes=classes)) == expected + heads


def test_parameters_of_chromosomes_and_two_views():
    # 23 chromosomes of 10 probes to 128 each, 2,944 to 1024; 512 joint; and back.
    groups = tuple(tuple(range(10 * i, 10 * i + 10)) for i in range(23))
    meth = ViewSpec("meth", 230, groups=groups)
    own = 23 * dense(10, 128) + dense(2944, 1024)
    back = dense(1024, 2944) + 23 * dense(128, 10, norm=False)
    joint = dense(1024, 512) + 2 * dense(512, 128, norm=False) + dense(128, 512, 1024)
    assert count(Config(grouped=("meth",)), DataSpec((meth,))) == own + joint + back
    # With expression 2048-1024 beside it the joint layer reads 2,048.
    both = DataSpec((meth, ViewSpec("rna", 50)))
    joint = dense(2048, 512) + 2 * dense(512, 128, norm=False) + dense(128, 512, 2048)
    rna = dense(50, 2048, 1024) + dense(1024, 2048) + dense(2048, 50, norm=False)
    config = Config(view_hidden=("rna:2048,1024",), grouped=("meth", "mirna"))
    assert count(config, both) == own + back + rna + joint
    # A path of nothing but the chromosomes joins with all of their units.
    alone = 23 * (dense(10, 128) + dense(128, 10, norm=False)) + dense(2944, 512)
    alone += 2 * dense(512, 128, norm=False) + dense(128, 512, 2944)
    assert count(Config(hidden=(1024,), grouped=("meth",)), DataSpec((meth,))) == alone
    # Ungrouped, methylation is one path like the others.
    plain = DataSpec((ViewSpec("meth", 230),))
    assert count(Config(), DataSpec((meth,))) == count(Config(), plain)


def test_embedding_terms_equal_numpy(batch: Batch):
    rng = np.random.default_rng(1)
    mean, variance = rng.normal(size=(12, 3)), rng.random((12, 3)) + 0.1
    output = {v: rng.normal(size=batch.x[v].shape) for v in SPEC.names}
    found = embed_terms(
        "ce", SPEC, batch, jnp.asarray(mean, jnp.float32), jnp.asarray(variance, jnp.float32),
        {v: jnp.asarray(o, jnp.float32) for v, o in output.items()},
    )  # fmt: skip
    each = {}
    for view, logits in output.items():
        x, seen = np.asarray(batch.x[view]), np.asarray(batch.observed[view])
        p = 1 / (1 + np.exp(-logits))
        each[view] = -np.mean((x * np.log(p) + (1 - x) * np.log(1 - p))[seen])
        assert float(found[f"reconstruction/{view}"]) == pytest.approx(each[view], rel=1e-5)
    assert float(found["reconstruction"]) == pytest.approx(np.mean(list(each.values())), rel=1e-5)
    kl = -0.5 * np.mean(1 + np.log(variance) - mean**2 - variance)
    assert float(found["kl"]) == pytest.approx(kl, rel=1e-5)


def test_task_losses_equal_numpy(batch: Batch):
    rng = np.random.default_rng(2)
    targets = np.asarray(batch.targets["rna"])
    known = np.asarray(batch.known["rna"])
    labels = np.asarray(batch.labels["rna"])
    tasks = {task.name: task for task in tasks_of(SPEC)}
    outputs = {name: rng.normal(size=(12, task.outputs)) for name, task in tasks.items()}
    found = {
        name: float(task_loss(task, "l1", SPEC, batch, jnp.asarray(outputs[name], jnp.float32)))
        for name, task in tasks.items()
    }

    def entropy(logits: np.ndarray, codes: np.ndarray) -> float:
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        return float(-np.mean(np.log(p[np.arange(len(codes)), codes])))

    own = labels >= 0
    assert found[CLASS] == pytest.approx(entropy(outputs[CLASS][own], labels[own]), rel=1e-5)
    codes = targets[:, 3].astype(int)
    assert found["grade"] == pytest.approx(entropy(outputs["grade"], codes), rel=1e-5)
    errors = np.abs(outputs["age"][:, 0] - targets[:, 2])[known[:, 2]]
    assert found["age"] == pytest.approx(errors.mean(), rel=1e-5)
    sums = np.cumsum(outputs["survival"][:, ::-1], 1)[:, ::-1]
    p = np.exp(np.pad(sums, ((0, 0), (0, 1))))
    p /= p.sum(1, keepdims=True)
    likelihood = [
        p[i, int(k)] if event else p[i, int(k) :].sum()
        for i, (k, event) in enumerate(targets[:, :2])
    ]
    assert found["survival"] == pytest.approx(-np.mean(np.log(likelihood)[known[:, 0]]), rel=1e-4)


@pytest.fixture(scope="module")
def phases(batch: Batch) -> list[dict[str, Any]]:
    """Before and after one step of each phase, of two replicas with GradNorm; the first of them."""
    spec = DataSpec(SPEC.views[:1], classes=SPEC.classes, targets=TARGETS[:1])
    config = Config(**SMALL | {"hidden": (4,), "joint": (), "gradnorm": True})
    model, keys = build(config, spec), jax.random.split(jax.random.key(0))
    hyper = Hyper(learning_rate=1e-2, gradnorm_rate=0.05)
    hypers = jax.tree.map(lambda h: jnp.array([h, h / 2], jnp.float32), hyper)
    state = jax.jit(jax.vmap(lambda h, k: start_state(model, batch, h, k)))(hypers, keys)
    found = []
    for stage in stage_models(model):
        step = jax.vmap(lambda s, h, stage=stage: make_step(stage)(s, batch, h, jnp.float32(1.0)))
        after, metrics = jax.jit(step)(state, hypers)
        one = jax.tree.map(lambda leaf: leaf[0], (state, after, metrics))
        found.append(dict(zip(("before", "after", "metrics"), one, strict=True)))
        state = after
    return found


@pytest.fixture(scope="module")
def whole(batch: Batch) -> tuple[Model, TrainState]:
    """The model with all tasks, and its state before the first step."""
    model = build(Config(**SMALL), SPEC)
    begin = jax.jit(lambda key: start_state(model, batch, Hyper(), key))
    return model, begin(jax.random.key(0))


def test_phases_move_what_they_must(phases: list[dict[str, Any]]):
    moving = [{"vae"}, {"heads"}, {"vae", "heads", "weights"}]
    for phase, expected in zip(phases, moving, strict=True):
        before, after = phase["before"].params, phase["after"].params
        moved = {
            name
            for name in before
            if not all(jax.tree.leaves(jax.tree.map(jnp.array_equal, before[name], after[name])))
        }
        assert moved == expected
        assert set(phase["metrics"]) == set(phases[0]["metrics"])
    # In phase 2 the norms of the encoder still follow the batches.
    statistics = [phases[1][when].collections["vae"]["readers_rna"] for when in ("before", "after")]
    assert not np.allclose(statistics[0]["norm_0"]["mean"], statistics[1]["norm_0"]["mean"])


def test_the_loss_of_phase_three_is_the_weighted_sum(whole: tuple, batch: Batch):
    model, state = whole
    hyper = Hyper(task_weight={"age": 3.0}, embed_weight=0.1)

    @jax.jit
    def losses(params: Any, collections: Any) -> Any:
        found = [p.loss(params, collections, batch, state.key, hyper, train=False) for p in players]
        return [(total, aux.metrics) for total, aux in found]

    players = model.players
    found = jax.tree.map(float, losses(state.params, state.collections))
    (total, embed), (down, tasks) = found
    assert down == pytest.approx(
        tasks[CLASS] + tasks["survival"] + 3 * tasks["age"] + tasks["grade"], rel=1e-5
    )
    expected = 0.1 * (embed["reconstruction"] + 0.01 * embed["kl"]) + down
    assert total == pytest.approx(expected, rel=1e-5)


def test_absent_views_are_silent(whole: tuple, batch: Batch):
    model, state = whole
    encode: Any = model.tasks.encode
    absent = batch.observed["meth"] & False
    hidden = batch.replace(observed=batch.observed | {"meth": absent})
    changed = hidden.replace(x=batch.x | {"meth": batch.x["meth"] + 5})
    one, two = (encode(state.params, state.collections, b)[0] for b in (hidden, changed))
    np.testing.assert_array_equal(one, two)
    seen = encode(state.params, state.collections, batch)[0]
    # The first two samples lack methylation anyway.
    np.testing.assert_allclose(one[:2], seen[:2], atol=1e-6)
    assert not np.allclose(one[2:], seen[2:])


def test_what_a_model_can_do(whole: tuple, batch: Batch):
    model, state = whole
    tasks: Any = model.tasks
    given = state.params, state.collections
    assert tasks.classify(*given, batch)["all"].shape == (12, 2)
    shapes = {name: value.shape for name, value in tasks.risk(*given, batch).items()}
    assert shapes == {"survival": (12, EDGES), "age": (12, 1), "grade": (12, 3)}
    decoded = tasks.decode(*given, jnp.zeros((2, 3)), jnp.zeros((2, 0)))
    assert decoded["meth"].shape == (2, 5)
    assert all(bool(((v > 0) & (v < 1)).all()) for v in decoded.values())
    alone = build(Config(**SMALL), DataSpec(SPEC.views))
    assert alone.tasks.classify is None
    assert alone.tasks.risk is None
    assert alone.monitor == "reconstruction"
    assert len(alone.players) == 1


def test_groups_are_written_to_their_columns(whole: tuple):
    # Only the bias of the group (1, 3) is not 0, so only these columns are not one half.
    model, state = whole
    params = jax.tree.map(jnp.zeros_like, state.params)
    params["vae"]["outputs_meth_2"]["bias"] += 1.0
    decode: Any = model.tasks.decode
    written = decode(params, state.collections, jnp.zeros((1, 3)), jnp.zeros((1, 0)))["meth"]
    np.testing.assert_allclose(written[0], [0.5, 0.7311, 0.5, 0.7311, 0.5], atol=1e-4)


def test_a_phase_may_be_left_out():
    jointly = build(Config(**SMALL, phases=(0.0, 0.0, 1.0)), SPEC)
    assert jointly.stages == ()
    two = build(Config(**SMALL, phases=(0.5, 0.0, 0.5)), SPEC)
    assert [stage.share for stage in two.stages] == [0.5, 0.5]


def test_gradient_norms_equal_autodiff():
    rng = np.random.default_rng(3)
    inputs, W = (jnp.asarray(rng.normal(size=s), jnp.float32) for s in ((7, 4), (4, 3)))

    def losses(output: jax.Array) -> jax.Array:
        return jnp.stack([jnp.sum(output**2), jnp.mean(jnp.tanh(output))])

    found = layer_norms(losses, inputs @ W, inputs)
    gradients = jax.jacrev(lambda W: losses(inputs @ W))(W)
    np.testing.assert_allclose(found, jnp.linalg.norm(gradients, axis=(1, 2)), rtol=1e-5)


def test_pace_by_hand():
    # g = (2, 6), mean 4; losses fell to 1 and 1/2, mean 3/4; alpha 1: targets 16/3 and 8/3.
    weight, norms = jnp.array([1.0, 2.0]), jnp.array([2.0, 3.0])
    losses, initial = jnp.array([4.0, 1.0]), jnp.array([4.0, 2.0])
    value, gradient = jax.value_and_grad(pace_loss)(weight, norms, losses, initial, jnp.ones(()))
    assert float(value) == pytest.approx((16 / 3 - 2) + (6 - 8 / 3), rel=1e-6)
    np.testing.assert_allclose(gradient, [-2.0, 3.0])


def test_weights_of_tasks_keep_their_sum(phases: list[dict[str, Any]]):
    weight = phases[-1]["after"].params["weights"]["weight"]
    assert float(jnp.sum(weight)) == pytest.approx(2.0, rel=1e-5)
    assert float(jnp.abs(weight - 1).max()) > 1e-3
    # Losses at the start are those of phase 3, not of the phases before.
    initial = [p["after"].collections["weights"]["initial"] for p in phases]
    assert (initial[1] == 0).all()
    assert (initial[2] > 0).all()
    step, _ = keep_sum().update(jnp.array([-9.0, 0.0]), optax.EmptyState(), jnp.ones(2))
    assert (jnp.ones(2) + jnp.asarray(step) > 0).all()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"phases": (0.5, 0.5, 0.5)}, "shares add up to 1"),
        ({"view_hidden": ("mirna:3",)}, "views: rna, meth"),
        ({"view_hidden": ("rna:0,4",)}, "found 'rna:0,4'"),
    ],
)
def test_settings_that_cannot_be_meant(settings: dict[str, Any], said: str):
    with pytest.raises(InputError, match=said):
        paths_of(Config(**settings), SPEC)


def test_a_survival_head_may_start_with_survivors(batch: Batch):
    spec = DataSpec(SPEC.views, targets=TARGETS[:1])
    model = build(Config(**SMALL, survivors=0.4), spec)
    params = jax.jit(model.init)(jax.random.key(0), batch).params["heads"]
    bias = params["outputs_survival"]["bias"]
    np.testing.assert_allclose(
        survival_curve(bias[None])[0], 1 - 0.6 * np.arange(1, EDGES + 1) / EDGES, rtol=1e-5
    )


def test_gradnorm_needs_two_tasks():
    with pytest.raises(InputError, match="two tasks or more for gradnorm, found 1"):
        build(Config(gradnorm=True), DataSpec(SPEC.views, classes=("a", "b")))
