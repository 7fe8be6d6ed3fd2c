"""The losses against plain loops over the paper's formulas, their limits and their extremes."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rsretrieve.enums import LossName
from rsretrieve.errors import InvalidArgument
from rsretrieve.network.prototypes import Prototypes, log_probabilities
from rsretrieve.training.losses import (
    MetricLoss,
    label_log_probability,
    nsl,
    rnsl,
    truncation_weights,
    weighted_rnsl,
)

Q, K, SIGMA = 0.7, 0.5, 0.05
PROBABILITIES = (1e-9, 0.02, 0.3, 0.5, 0.51, 0.9, 1.0)

unhurried = settings(deadline=None)  # of a machine that is busy
log_ps = st.floats(-50, 0, allow_subnormal=False)
qs = st.floats(0.01, 1)
ks = st.floats(0, 0.99)


def truncated_rnsl(log_p: Tensor, q: float, k: float) -> Tensor:
    """Truncated RNSL: RNSL if p > k, else the constant (1 − k^q) / q, which has no gradient."""
    return weighted_rnsl(log_p, truncation_weights(log_p, k), q, k) + (1 - math.pow(k, q)) / q


def unit_rows(rows: int, dimensions: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(rows, dimensions, generator=generator, dtype=torch.float64)
    return torch.nn.functional.normalize(vectors, dim=1)


def logs(*probabilities: float) -> Tensor:
    return torch.tensor(probabilities, dtype=torch.float64).log()


def one_log_p(value: float) -> Tensor:
    return torch.tensor([value], dtype=torch.float64)


def probability(v: Tensor, prototypes: Tensor, label: int, sigma: float) -> float:
    """p_ic of one tile and one class, term by term."""
    terms = []
    for prototype in prototypes:
        cosine = sum(float(a) * float(b) for a, b in zip(prototype, v, strict=True))
        terms.append(math.exp(cosine / sigma))
    return terms[label] / sum(terms)


def box_cox(p: float, q: float) -> float:
    return (1 - p**q) / q


def truncated_by_hand(p: float, q: float, k: float) -> float:
    return box_cox(p, q) if p > k else box_cox(k, q)


def slope(loss: Callable[[Tensor], Tensor], p: float) -> float:
    """The gradient of a loss by log p."""
    log_p = torch.tensor([p], dtype=torch.float64).log().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(log_p).sum(), log_p)
    return float(gradient)


# Probabilities


def test_log_probabilities_are_a_softmax_of_similarities_over_the_temperature() -> None:
    embeddings, prototypes = unit_rows(5, 3, seed=1), unit_rows(4, 3, seed=2)
    log_p = log_probabilities(embeddings, prototypes, torch.tensor(SIGMA, dtype=torch.float64))
    for i, c in itertools.product(range(5), range(4)):
        expected = math.log(probability(embeddings[i], prototypes, c, SIGMA))
        assert float(log_p[i, c]) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("degrees", [0, 30, 90, 180])
def test_two_prototypes_at_right_angles_give_a_logistic_curve_of_the_angle(degrees: float) -> None:
    angle = math.radians(degrees)
    tile = torch.tensor([[math.cos(angle), math.sin(angle)]], dtype=torch.float64)
    log_p = log_probabilities(tile, torch.eye(2, dtype=torch.float64), torch.tensor(0.5))
    expected = 1 / (1 + math.exp((math.sin(angle) - math.cos(angle)) / 0.5))
    assert float(log_p[0, 0].exp()) == pytest.approx(expected)


def test_the_label_log_probability_is_that_of_each_tiles_label() -> None:
    log_p = torch.arange(12.0).reshape(4, 3)
    own = label_log_probability(log_p, torch.tensor([2, 0, 1, 1]))
    assert own.tolist() == [2.0, 3.0, 7.0, 10.0]


def test_with_one_class_every_tile_is_certain() -> None:
    log_p = log_probabilities(unit_rows(3, 4, 0), unit_rows(1, 4, 1), torch.tensor(SIGMA))
    assert log_p.tolist() == [[0.0]] * 3


# The formulas


@pytest.mark.parametrize("p", PROBABILITIES)
def test_nsl_is_minus_log_p(p: float) -> None:
    assert float(nsl(logs(p))) == pytest.approx(-math.log(p))


@pytest.mark.parametrize("q", [0.1, 0.7, 1.0])
@pytest.mark.parametrize("p", PROBABILITIES)
def test_rnsl_is_the_negative_box_cox_transformation(p: float, q: float) -> None:
    assert float(rnsl(logs(p), q)) == pytest.approx(box_cox(p, q))


@pytest.mark.parametrize("k", [0.0, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("p", PROBABILITIES)
def test_truncated_rnsl_is_rnsl_above_the_truncation_and_constant_below(p: float, k: float) -> None:
    assert float(truncated_rnsl(logs(p), Q, k)) == pytest.approx(truncated_by_hand(p, Q, k))


@pytest.mark.parametrize("p", PROBABILITIES)
@pytest.mark.parametrize("m", [0, 1])
def test_the_weighted_form_is_m_times_rnsl_less_the_constant(p: float, m: int) -> None:
    weighted = weighted_rnsl(logs(p), torch.tensor([float(m)]), Q, K)
    assert float(weighted) == pytest.approx(m * (box_cox(p, Q) - box_cox(K, Q)))


def test_weights_are_one_only_above_the_truncation() -> None:
    assert truncation_weights(logs(0.1, 0.49, 0.5, 0.51, 1.0), 0.5).tolist() == [0, 0, 0, 1, 1]


def test_without_truncation_every_tile_is_kept() -> None:
    assert truncation_weights(torch.tensor([-1e30, -1.0, 0.0]), 0).tolist() == [1, 1, 1]


def test_weights_have_the_type_of_the_probabilities() -> None:
    assert truncation_weights(torch.tensor([-1.0], dtype=torch.float16), K).dtype is torch.float16


# Limits


@pytest.mark.parametrize("p", PROBABILITIES)
def test_rnsl_becomes_nsl_as_q_goes_to_zero(p: float) -> None:
    assert float(rnsl(logs(p), 1e-9)) == pytest.approx(-math.log(p), rel=1e-6)


@pytest.mark.parametrize("p", PROBABILITIES)
def test_rnsl_with_q_of_one_is_one_minus_p(p: float) -> None:
    assert float(rnsl(logs(p), 1.0)) == pytest.approx(1 - p)


@pytest.mark.parametrize("q", [0.2, 0.7, 1.0])
@pytest.mark.parametrize("p", PROBABILITIES)
def test_the_gradient_of_rnsl_is_nsls_times_p_to_the_q(p: float, q: float) -> None:
    assert slope(lambda x: rnsl(x, q), p) == pytest.approx(p**q * slope(nsl, p))


@pytest.mark.parametrize("p", PROBABILITIES)
def test_truncated_rnsl_with_k_of_zero_is_rnsl(p: float) -> None:
    assert float(truncated_rnsl(logs(p), Q, 0.0)) == pytest.approx(float(rnsl(logs(p), Q)))
    assert slope(lambda x: truncated_rnsl(x, Q, 0.0), p) == slope(lambda x: rnsl(x, Q), p)


@pytest.mark.parametrize("p", [1e-9, 0.3, 0.5])
def test_a_tile_at_or_below_the_truncation_costs_a_constant_and_moves_nothing(p: float) -> None:
    assert float(truncated_rnsl(logs(p), Q, K)) == pytest.approx(box_cox(K, Q))
    assert slope(lambda x: truncated_rnsl(x, Q, K), p) == 0


@pytest.mark.parametrize("p", [0.51, 0.9, 1.0])
def test_above_the_truncation_the_gradient_is_rnsls(p: float) -> None:
    assert slope(lambda x: truncated_rnsl(x, Q, K), p) == slope(lambda x: rnsl(x, Q), p)


# Properties


@unhurried
@given(log_p=log_ps, q=qs)
def test_rnsl_lies_between_zero_and_nsl_and_below_one_over_q(log_p: float, q: float) -> None:
    loss = float(rnsl(one_log_p(log_p), q))
    assert 0 <= loss <= min(1 / q, -log_p) * (1 + 1e-12)


@unhurried
@given(log_p=log_ps, q=qs, k=ks)
def test_truncation_never_raises_the_loss(log_p: float, q: float, k: float) -> None:
    truncated = float(truncated_rnsl(one_log_p(log_p), q, k))
    assert truncated <= float(rnsl(one_log_p(log_p), q)) + 1e-9
    assert truncated <= box_cox(k, q) + 1e-9


@unhurried
@given(lower=log_ps, upper=log_ps, q=qs)
def test_a_likelier_label_never_costs_more(lower: float, upper: float, q: float) -> None:
    lower, upper = sorted((lower, upper))
    assert float(rnsl(one_log_p(lower), q)) >= float(rnsl(one_log_p(upper), q))


@unhurried
@given(st.lists(log_ps, min_size=1, max_size=5), qs, ks)
def test_the_kept_weights_minimise_the_weighted_loss(
    log_p: list[float], q: float, k: float
) -> None:
    own = torch.tensor(log_p, dtype=torch.float64)
    least = float(weighted_rnsl(own, truncation_weights(own, k), q, k).sum())
    for weights in itertools.product((0.0, 1.0), repeat=len(log_p)):
        other = weighted_rnsl(own, torch.tensor(weights, dtype=torch.float64), q, k).sum()
        assert least <= float(other) + 1e-9


@unhurried
@given(st.permutations(range(6)), st.sampled_from(LossName))
def test_the_order_of_tiles_changes_nothing(order: list[int], name: LossName) -> None:
    log_p, weights = logs(0.1, 0.4, 0.5, 0.6, 0.9, 1.0), torch.tensor([1.0, 0, 0, 1, 1, 1])
    loss = MetricLoss(name, Q, K)
    moved = loss(log_p[order], weights[order])
    assert float(moved) == pytest.approx(float(loss(log_p, weights)))


# Gradients


@pytest.mark.parametrize("name", LossName)
def test_gradients_agree_with_finite_differences(name: LossName) -> None:
    labels, weights = torch.tensor([0, 1, 2, 0]), torch.tensor([1.0, 0, 1, 1]).double()
    sigma = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)

    def loss(embeddings: Tensor, prototypes: Tensor, temperature: Tensor) -> Tensor:
        log_p = log_probabilities(embeddings, prototypes, temperature)
        result: Tensor = MetricLoss(name, Q, K)(label_log_probability(log_p, labels), weights)
        return result

    embeddings = unit_rows(4, 3, seed=5).requires_grad_()
    prototypes = unit_rows(3, 3, seed=6).requires_grad_()
    assert torch.autograd.gradcheck(loss, (embeddings, prototypes, sigma))


def test_the_gradient_of_the_truncated_loss_agrees_with_finite_differences() -> None:
    log_p = logs(0.1, 0.4, 0.6, 0.9).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: truncated_rnsl(x, Q, K), (log_p,))


# Extremes


EXTREME_LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "nsl": nsl,
    "rnsl": lambda log_p: rnsl(log_p, Q),
    "rnsl, small q": lambda log_p: rnsl(log_p, 1e-4),
    "t-rnsl": lambda log_p: truncated_rnsl(log_p, Q, K),
    "weighted": lambda log_p: weighted_rnsl(log_p, torch.ones_like(log_p), Q, K),
}


@pytest.mark.parametrize("name", EXTREME_LOSSES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("log_p", [-1000.0, -90.0, -1e-7, 0.0])
def test_losses_stay_finite_where_p_comes_near_zero_or_one(
    name: str, dtype: torch.dtype, log_p: float
) -> None:
    extreme = torch.tensor([log_p], dtype=dtype, requires_grad=True)
    loss = EXTREME_LOSSES[name](extreme)
    (gradient,) = torch.autograd.grad(loss.sum(), extreme)
    assert torch.isfinite(loss).all()
    assert torch.isfinite(gradient).all()


def test_rnsl_tells_nearly_certain_tiles_apart() -> None:
    assert float(rnsl(torch.tensor([-1e-12]), Q)) == pytest.approx(1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize(("batch", "classes"), [(1, 1), (1, 5), (8, 1000)])
@pytest.mark.parametrize("name", LossName)
def test_batches_of_any_shape_and_type_give_finite_losses_and_gradients(
    dtype: torch.dtype, batch: int, classes: int, name: LossName
) -> None:
    embeddings = unit_rows(batch, 16, seed=1).to(dtype).requires_grad_()
    prototypes = unit_rows(classes, 16, seed=2).to(dtype)
    log_p = log_probabilities(embeddings, prototypes, torch.tensor(SIGMA, dtype=dtype))
    own = label_log_probability(log_p, torch.arange(batch) % classes)
    loss = MetricLoss(name, Q, K)(own, torch.ones(batch, dtype=dtype))
    loss.backward()
    assert torch.isfinite(loss)
    assert embeddings.grad is not None
    assert torch.isfinite(embeddings.grad).all()


def test_a_tile_opposite_to_its_prototype_at_a_tiny_temperature_stays_finite() -> None:
    tile = torch.tensor([[-1.0, 0.0]], requires_grad=True)
    log_p = log_probabilities(tile, torch.eye(2), torch.tensor(1e-3))
    rnsl(label_log_probability(log_p, torch.tensor([0])), Q).sum().backward()
    assert log_p[0, 0].item() == pytest.approx(-1000)
    assert tile.grad is not None
    assert torch.isfinite(tile.grad).all()


# Prototypes


def test_prototypes_start_uniform_within_one_over_the_root_of_d() -> None:
    weight = Prototypes(200, 64, SIGMA, generator=torch.Generator().manual_seed(0)).weight.detach()
    reach = 1 / math.sqrt(64)
    assert float(weight.abs().max()) <= reach
    # Of uniform numbers in ±r the mean is 0 and the mean square r²/3.
    assert float(weight.mean()) == pytest.approx(0, abs=0.05 * reach)
    assert float(weight.square().mean()) == pytest.approx(reach**2 / 3, rel=0.05)


def test_prototypes_come_from_their_generator_alone() -> None:
    one, same, other = (
        Prototypes(3, 4, SIGMA, generator=torch.Generator().manual_seed(seed)).weight
        for seed in (7, 7, 8)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_prototypes_are_used_with_unit_norm() -> None:
    prototypes = Prototypes(5, 8, SIGMA)
    norms = [math.sqrt(sum(float(x) ** 2 for x in row)) for row in prototypes.unit.detach()]
    assert norms == pytest.approx([1] * 5)


def test_prototypes_answer_with_log_probabilities_at_their_temperature() -> None:
    prototypes, embeddings = Prototypes(4, 8, 0.2), unit_rows(3, 8, seed=3).float()
    log_p = prototypes(embeddings).detach()
    for i, c in itertools.product(range(3), range(4)):
        expected = math.log(probability(embeddings[i], prototypes.unit.detach(), c, 0.2))
        assert float(log_p[i, c]) == pytest.approx(expected, abs=1e-5)


def test_a_fixed_temperature_is_no_parameter() -> None:
    prototypes = Prototypes(3, 4, SIGMA)
    assert float(prototypes.temperature) == pytest.approx(SIGMA)
    assert [name for name, _ in prototypes.named_parameters()] == ["weight"]


def test_a_learned_temperature_gets_a_gradient_and_stays_positive() -> None:
    prototypes = Prototypes(3, 4, SIGMA, learn_temperature=True)
    nsl(prototypes(unit_rows(2, 4, seed=1).float())[:, 0]).mean().backward()
    assert isinstance(prototypes.log_temperature, torch.nn.Parameter)
    assert prototypes.log_temperature.grad is not None
    assert prototypes.log_temperature.grad.item() != 0
    prototypes.log_temperature.data -= 100
    assert prototypes.temperature.item() > 0


@pytest.mark.parametrize("learned", [False, True])
def test_the_temperature_is_stored_with_the_prototypes(learned: bool) -> None:
    stored = Prototypes(3, 4, 0.25, learn_temperature=learned).state_dict()
    restored = Prototypes(3, 4, 1.0, learn_temperature=learned)
    restored.load_state_dict(stored)
    assert restored.temperature.item() == pytest.approx(0.25)


# The mean over a batch


def test_the_loss_of_a_batch_is_the_mean_over_its_tiles() -> None:
    ps, ms = (0.2, 0.6, 0.9), (0.0, 1.0, 1.0)
    weights = torch.tensor(ms, dtype=torch.float64)
    constant = box_cox(K, Q)
    expected = {
        LossName.NSL: sum(-math.log(p) for p in ps) / 3,
        LossName.RNSL: sum(box_cox(p, Q) for p in ps) / 3,
        LossName.T_RNSL: sum(box_cox(p, Q) if m else constant for p, m in zip(ps, ms)) / 3,
    }
    for name, mean in expected.items():
        assert float(MetricLoss(name, Q, K)(logs(*ps), weights)) == pytest.approx(mean)


@pytest.mark.parametrize(
    ("q", "k"),
    [
        (0.0, 0.5),
        (-0.1, 0.5),
        (1.1, 0.5),
        (math.nan, 0.5),
        (0.7, -0.1),
        (0.7, 1.0),
        (0.7, math.nan),
    ],
)
def test_exponents_and_truncations_out_of_range_are_refused(q: float, k: float) -> None:
    message = f"a loss takes 0 < q ≤ 1 and 0 ≤ k < 1, not q = {q}, k = {k}"
    with pytest.raises(InvalidArgument, match=f"^{re.escape(message)}$"):
        MetricLoss(LossName.T_RNSL, q, k)


@pytest.mark.parametrize(("q", "k"), [(1.0, 0.5), (0.7, 0.0)])
def test_the_ends_of_both_ranges_are_taken(q: float, k: float) -> None:
    loss = MetricLoss(LossName.T_RNSL, q, k)(logs(0.9), torch.ones(1, dtype=torch.float64))
    assert float(loss) == pytest.approx(truncated_by_hand(0.9, q, k))


def test_a_loss_can_be_named_by_its_text() -> None:
    assert MetricLoss("rnsl", Q, K).name is LossName.RNSL  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["RNSL", "t_rnsl", ""])
def test_an_unknown_loss_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"is not a valid LossName"):
        MetricLoss(name, Q, K)  # type: ignore[arg-type]
