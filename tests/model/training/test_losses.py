import math

import torch

from model.training.losses import contrastive


def test_contrastive_agrees_with_its_formula_in_loops() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = torch.rand(40, 5, generator=generator), torch.rand(40, 5, generator=generator)
    genuine = torch.arange(40) % 3 == 0
    total = 0.0
    for a, b, y in zip(first.tolist(), second.tolist(), genuine.tolist(), strict=True):
        d = math.sqrt(sum((p - q) ** 2 for p, q in zip(a, b, strict=True)))
        total += d**2 if y else max(0.8 - d, 0) ** 2
    torch.testing.assert_close(contrastive(first, second, genuine, margin=0.8).item(), total / 40)


def test_its_gradient_agrees_with_finite_differences() -> None:
    first = torch.rand(6, 4, dtype=torch.float64, requires_grad=True)
    second = torch.rand(6, 4, dtype=torch.float64, requires_grad=True)
    genuine = torch.tensor([True, False] * 3)
    assert torch.autograd.gradcheck(lambda a, b: contrastive(a, b, genuine), (first, second))


def test_equal_embeddings_have_a_finite_gradient() -> None:
    same = torch.ones(2, 3, requires_grad=True)
    contrastive(same, torch.ones(2, 3), torch.tensor([True, False])).backward()
    assert same.grad is not None
    assert torch.isfinite(same.grad).all()
