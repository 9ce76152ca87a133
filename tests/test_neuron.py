"""F1: the single neuron against the published figure, scikit-learn and the closed form."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.linear_model import LogisticRegression, Perceptron
from sklearn.preprocessing import StandardScaler
from torch.nn import functional

from deepglass.data.schema import Batch, Input, Schema, Target
from deepglass.errors import ModelError, RecipeError
from deepglass.models.neuron import Neuron, perceptron_loss


def columns(count: int) -> Input:
    return Input("numbers", "numbers", (count,), tuple(f"x{i}" for i in range(count)))


def table(count: int, target: Target) -> Schema:
    return Schema("table", (columns(count),), target)


BINARY = Target("y", "binary", ("no", "yes"))


def descend(neuron: Neuron, loss, steps: int = 100) -> None:
    """Full-batch descent to the minimum, by PyTorch's own L-BFGS."""
    optimizer = torch.optim.LBFGS(
        neuron.parameters(), max_iter=steps, tolerance_grad=1e-10, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )

    def closure():
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    for _ in range(10):
        optimizer.step(closure)


def test_the_anchor_figure() -> None:
    neuron = Neuron.from_schema(table(3, BINARY))
    with torch.no_grad():
        neuron.synapses.weight.copy_(torch.tensor([[0.4, 0.6, 0.8]]))
        neuron.synapses.bias.fill_(0.1)
    z = neuron(torch.tensor([[0.5, 0.3, 0.2]]))
    assert z.item() == pytest.approx(0.64, abs=1e-6)
    assert neuron.answer(z).item() == pytest.approx(0.6548, abs=5e-5)


def test_logistic_coefficients_are_those_of_scikit_learn() -> None:
    x, y = load_breast_cancer(return_X_y=True)
    # Five of its columns are not linearly separable, so the unpenalized optimum is finite.
    x = StandardScaler().fit_transform(x[:, [0, 1, 4, 5, 8]])
    neuron = Neuron.from_schema(table(5, BINARY)).double()
    inputs, target = torch.tensor(x), torch.tensor(y, dtype=torch.float64)
    descend(neuron, lambda: functional.binary_cross_entropy_with_logits(neuron(inputs)[:, 0], target))
    theirs = LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000).fit(x, y)
    np.testing.assert_allclose(neuron.synapses.weight.detach().numpy(), theirs.coef_, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(neuron.synapses.bias.detach().numpy(), theirs.intercept_, rtol=1e-4)
    np.testing.assert_allclose(
        neuron.answer(neuron(inputs)).detach().numpy()[:, 0], theirs.predict_proba(x)[:, 1], atol=1e-5
    )


def test_softmax_probabilities_are_those_of_scikit_learn() -> None:
    x, y = load_iris(return_X_y=True)
    x = StandardScaler().fit_transform(x[:, :2])
    neuron = Neuron.from_schema(table(2, Target("species", "multiclass", ("a", "b", "c")))).double()
    inputs, target = torch.tensor(x), torch.tensor(y)
    descend(neuron, lambda: functional.cross_entropy(neuron(inputs), target), 300)
    theirs = LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000).fit(x, y)
    np.testing.assert_allclose(neuron.answer(neuron(inputs)).detach().numpy(), theirs.predict_proba(x), atol=1e-3)


def test_linear_neuron_is_least_squares() -> None:
    x, y = load_diabetes(return_X_y=True)
    x, y = StandardScaler().fit_transform(x), StandardScaler().fit_transform(np.asarray(y)[:, None])
    neuron = Neuron.from_schema(table(10, Target("y", "regression", mean=(0.0,), std=(1.0,)))).double()
    descend(neuron, lambda: functional.mse_loss(neuron(torch.tensor(x)), torch.tensor(y)))
    closed, *_ = np.linalg.lstsq(np.column_stack([x, np.ones(len(x))]), y, rcond=None)
    np.testing.assert_allclose(neuron.synapses.weight.detach().numpy()[0], closed[:-1, 0], rtol=1e-5)
    assert neuron.synapses.bias.item() == pytest.approx(closed[-1, 0], abs=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
def test_perceptron_takes_the_steps_of_rosenblatt(classes: int) -> None:
    """One example at a time at rate one, against scikit-learn's for two classes and the rule by hand for more."""
    x, y = load_iris(return_X_y=True)
    x, y = x[y < classes], y[y < classes]
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order], y[order]
    target = BINARY if classes == 2 else Target("y", "multiclass", ("a", "b", "c"))
    neuron = Neuron.from_schema(table(4, target), activation="step", initialization="zero").double()
    optimizer = torch.optim.SGD(neuron.parameters(), lr=1.0)
    (turn,) = neuron.turns(criterion=None)  # type: ignore[arg-type]  # the perceptron brings its own loss
    weights, bias = np.zeros((3, 4)), np.zeros(3)
    for row, label in zip(x, y, strict=True):
        optimizer.zero_grad()
        turn.loss(Batch((torch.tensor(row[None]),), torch.tensor([label]), torch.tensor([0]))).backward()
        optimizer.step()
        z = weights @ row + bias
        rival = max((k for k in range(3) if k != label), key=lambda k: z[k])
        if z[rival] >= z[label]:
            weights[label], weights[rival] = weights[label] + row, weights[rival] - row
            bias[label], bias[rival] = bias[label] + 1, bias[rival] - 1
    found = neuron.synapses.weight.detach().numpy()
    if classes == 2:
        theirs = Perceptron(max_iter=1, tol=None, shuffle=False).fit(x, y)  # type: ignore[arg-type]
        np.testing.assert_allclose(found, np.asarray(theirs.coef_), atol=1e-12)
        np.testing.assert_allclose(neuron.synapses.bias.detach().numpy(), np.asarray(theirs.intercept_), atol=1e-12)
        outputs = neuron.answer(neuron(torch.tensor(x)))[:, 0]
        assert outputs.unique().tolist() == [0.0, 1.0]
        assert (outputs.numpy() == theirs.predict(x)).all()
    else:
        np.testing.assert_allclose(found, weights, atol=1e-12)
        np.testing.assert_allclose(neuron.synapses.bias.detach().numpy(), bias, atol=1e-12)


def test_perceptron_loss_is_the_hinge_at_zero() -> None:
    z = torch.randn(50, 1, dtype=torch.float64)
    label = (torch.randn(50) > 0).long()
    sign = 2.0 * label - 1
    torch.testing.assert_close(perceptron_loss(z, label), functional.relu(-sign * z[:, 0]).mean())
    scores, classes = torch.randn(50, 4, dtype=torch.float64), torch.arange(50) % 4
    mistakes = scores.amax(1) - scores[torch.arange(50), classes]
    torch.testing.assert_close(perceptron_loss(scores, classes), mistakes.mean())


def test_categories_are_one_hot_and_unseen_ones_say_nothing() -> None:
    codes = Input("codes", "codes", (2,), ("color", "size"), sizes=(3, 4))
    neuron = Neuron.from_schema(Schema("table", (columns(0), codes), BINARY))
    assert neuron.synapses.weight.shape == (1, 5)
    z = neuron(torch.zeros(2, 0), torch.tensor([[0, 0], [2, 1]]))
    torch.testing.assert_close(z[0], neuron.synapses.bias)
    torch.testing.assert_close(z[1], neuron.synapses.weight[0, [1, 2]].sum() + neuron.synapses.bias)


def test_bad_wishes_are_refused_in_words() -> None:
    with pytest.raises(RecipeError, match=r"'softmax' does not suit a binary target; sigmoid or step"):
        Neuron.from_schema(table(2, BINARY), activation="softmax")
    with pytest.raises(RecipeError, match=r"no choice 'sigmid'.*'sigmoid'"):
        Neuron.from_schema(table(2, BINARY), activation="sigmid")  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="does not suit a regression target"):
        Neuron.from_schema(table(2, Target("y", "regression", mean=(0.0,), std=(1.0,))), activation="step")
    with pytest.raises(ModelError, match="no columns to learn from"):
        Neuron.from_schema(table(0, BINARY))
    with pytest.raises(ModelError, match="how many values each may take is not known"):
        Neuron.from_schema(Schema("tensor", (Input("features", "codes", (4,)),), BINARY))
    with pytest.raises(RecipeError, match="whole classes"):
        perceptron_loss(torch.zeros(2, 1), torch.tensor([[0.5, 0.5], [1.0, 0.0]]))
