"""The fused objective: every backend against the float64 reference, and what happens where one is missing."""

import importlib.util
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from rows import hard_rows, masked_rows

from caref.kernels import row_terms, row_terms_chunked, row_terms_cpu
from caref.kernels.compiled import folder
from caref.objectives.per_token import per_token, per_token_from_hidden, reference

ROOT = Path(__file__).parents[2]
# Each power that is computed in a way of its own, and powers that take logarithms.
EXPONENTS = [(1.0, 0.0), (1.5, 0.5), (2.0, 1.0), (2.5, 2.0), (4.0, 0.5), (1.3, 0.01), (None, None)]


def triton():
    if not importlib.util.find_spec("triton"):
        pytest.skip("triton is not installed")
    from caref.kernels import row_terms_triton

    return row_terms_triton


def compiled():
    row_terms_cpu.prepare(2.0, 1.0)
    return row_terms_cpu


@pytest.fixture(params=["compiled", "chunked", "triton"])
def backend(request):
    return {"compiled": compiled, "chunked": lambda: row_terms_chunked, "triton": triton}[request.param]()


def device(backend):
    return "cuda" if backend.__name__.endswith("triton") and torch.cuda.is_available() else "cpu"


def values_and_gradient(backend, logits, labels, weights, alpha, beta):
    """Values (5, N) and the gradient of their weighted sum, as the fused kernels give them."""
    logits = logits.detach().to(device(backend)).requires_grad_()
    values = row_terms.row_terms(logits, labels.to(logits.device), alpha, beta, backend=backend)
    values.backward(weights.to(logits.device))
    return values.detach().cpu(), logits.grad.cpu()


def exact(logits, labels, weights, alpha, beta):
    logits = logits.detach().double().requires_grad_()
    values = torch.stack([*vars(reference(logits, labels, alpha=alpha, beta=beta)).values()])
    values.backward(weights.double())
    return values.detach(), logits.grad


@pytest.mark.parametrize(("alpha", "beta"), EXPONENTS)
@pytest.mark.parametrize("size", [2, 7, 1000, 5000])
def test_values_and_gradients_are_the_references(backend, size, alpha, beta):
    rows = hard_rows(size)
    if alpha == 1:
        # Where p = U but for rounding, the slope of |t| may be that of either side.
        rows = {name: row for name, row in rows.items() if "uniform" not in name}
    logits, labels = torch.stack(list(rows.values())).float(), torch.full((len(rows),), size // 2)
    for which in (*range(5), None):
        weights = torch.zeros(5, len(rows))
        weights[slice(which, None if which is None else which + 1)] = 1.0
        values, grad = values_and_gradient(backend, logits, labels, weights, alpha, beta)
        expected, expected_grad = exact(logits, labels, weights, alpha, beta)
        scale = expected.abs().clamp_min(1)
        assert ((values - expected).abs() <= 2e-6 * scale).all(), which
        # Slopes cancel between words, so their rounding is that of the values.
        scale = torch.maximum((scale * weights).amax(0), expected_grad.abs().amax(-1)).unsqueeze(-1)
        assert ((grad - expected_grad).abs() <= 3e-6 * scale).all(), which


@pytest.mark.parametrize(("alpha", "beta"), EXPONENTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nothing_is_ever_nan_or_infinite(backend, dtype, alpha, beta):
    rows = hard_rows(1000) | masked_rows(1000)
    rows["masked by the lowest number"] = masked_rows(1000)["half masked"].clamp_min(torch.finfo(dtype).min)
    logits, labels = torch.stack(list(rows.values())).to(dtype), torch.full((len(rows),), 500)
    labels[-3] = labels[-1] = 501  # not a masked word
    weights = torch.ones(5, len(rows))
    weights[1] = 0  # the mean of -log p is infinite where a p is 0
    values, grad = values_and_gradient(backend, logits, labels, weights, alpha, beta)
    assert values[[0, 2, 3, 4]].isfinite().all() and grad.isfinite().all()
    assert grad.dtype == dtype


def test_bfloat16_is_float32_on_the_same_logits_rounded_once(backend):
    torch.manual_seed(0)
    logits, labels = (torch.randn(6, 1000) * 4).bfloat16(), torch.randint(1000, (6,))
    weights = torch.rand(5, 6)
    half, half_grad = values_and_gradient(backend, logits, labels, weights, 2.0, 1.0)
    single, single_grad = values_and_gradient(backend, logits.float(), labels, weights, 2.0, 1.0)
    torch.testing.assert_close(half, single)
    # Half a unit of bfloat16's last place; Triton's interpreter, unlike a GPU, cuts off instead of rounding.
    last = 2**-7 if backend.__name__.endswith("triton") else 2**-8
    torch.testing.assert_close(half_grad.float(), single_grad, rtol=last * 1.001, atol=1e-7)


def test_ignored_rows_are_never_read(backend):
    torch.manual_seed(0)
    logits, labels = torch.randn(5, 3000), torch.tensor([7, -100, 8, -100, 2999])
    logits[labels == -100] = torch.nan
    values, grad = values_and_gradient(backend, logits, labels, torch.ones(5, 5), 2.0, 1.0)
    assert (values[:, labels == -100] == 0).all() and (grad[labels == -100] == 0).all()
    expected, _ = exact(logits, labels, torch.ones(5, 5), 2.0, 1.0)
    torch.testing.assert_close(values, expected.float())


@pytest.mark.parametrize("poison", [torch.nan, torch.inf])
def test_a_row_that_is_no_distribution_is_nan_and_not_a_number_that_looks_right(backend, poison):
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 3000), torch.tensor([5, 5])
    logits[0, 5] = poison
    values, _ = values_and_gradient(backend, logits, labels, torch.ones(5, 2), 2.0, 1.0)
    assert values[:, 0].isnan().all() and values[:, 1].isfinite().all()


def test_triton_compiles_for_gpus_that_are_not_here():
    triton()
    code = (
        "from caref.kernels import row_terms_triton as kernels\n"
        "from triton.backends.compiler import GPUTarget\n"
        "from triton.compiler import ASTSource, compile\n"
        "types = dict(logits='*bf16', labels='*i64', values='*fp32', state='*fp64', by='*fp32', grad='*bf16')\n"
        "fixed = dict(ALPHA=2.0, BETA=0.5, SCED=True, BLOCK=4096)\n"
        "for kernel in (kernels._forward, kernels._backward):\n"
        "    names = kernel.arg_names\n"
        "    signature = {n: 'constexpr' if n in fixed else types.get(n, 'i32') for n in names}\n"
        "    constants = {(names.index(n),): value for n, value in fixed.items()}\n"
        "    compile(ASTSource(kernel, signature, constants), target=GPUTarget('cuda', 80, 32))\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env=environment)


def test_logits_that_do_not_lie_in_one_piece_are_right_too():
    torch.manual_seed(0)
    whole, labels = torch.randn(3, 5, 40), torch.randint(30, (3, 4))
    part = whole[:, 1:, :30]
    torch.testing.assert_close(per_token(part, labels).ce, per_token(part.contiguous(), labels).ce)


def test_backward_keeps_nothing_of_the_size_of_the_logits():
    logits, labels = torch.randn(64, 5000, requires_grad=True), torch.randint(5000, (64,))
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        per_token(logits, labels, alpha=2.0, beta=1.0)
    extra = sum(t.nbytes for t in kept if t.data_ptr() != logits.data_ptr())
    assert extra < 0.01 * logits.nbytes


@pytest.mark.parametrize("trained", ["hidden", "weight", "both"])
def test_from_hidden_states_it_is_the_same_and_trains_what_is_trained(trained, monkeypatch):
    monkeypatch.setattr(row_terms, "_LOGITS_HELD", 700)
    torch.manual_seed(0)
    hidden, weight, labels = torch.randn(2, 9, 16), torch.randn(300, 16), torch.randint(300, (2, 9))
    labels[0, 3:5] = -100
    hidden.requires_grad_(trained != "weight")
    weight.requires_grad_(trained != "hidden")
    ours = per_token_from_hidden(hidden, weight, labels, alpha=2.0, beta=0.5)
    theirs = per_token(hidden @ weight.T, labels, alpha=2.0, beta=0.5)
    leaves = [leaf for leaf in (hidden, weight) if leaf.requires_grad]
    for name, value in vars(ours).items():
        torch.testing.assert_close(value, getattr(theirs, name))
    grads = torch.autograd.grad(ours.ce.mean() + ours.sced.mean(), leaves)
    expected = torch.autograd.grad(theirs.ce.mean() + theirs.sced.mean(), leaves)
    torch.testing.assert_close(grads, expected)


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """Nothing compiled yet, nothing remembered; the folder where compiled code goes."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    remembered = (row_terms.backend_for, row_terms_cpu._library, folder)
    for function in remembered:
        function.cache_clear()
    yield tmp_path / "caref"
    for function in remembered:
        function.cache_clear()


def test_without_a_compiler_it_says_so_once_and_is_right(fresh, monkeypatch):
    torch.manual_seed(0)
    logits, labels = torch.randn(4, 300), torch.randint(300, (4,))
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.warns(UserWarning, match=r"plain PyTorch, several times slower: no C\+\+ compiler was found"):
        slow = per_token(logits, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        per_token(logits, labels)
    expected = reference(logits.double(), labels)
    torch.testing.assert_close(slow.ce, expected.ce.float())


def test_a_compiler_that_fails_is_named(fresh, monkeypatch):
    monkeypatch.setenv("CXX", "false")
    with pytest.warns(UserWarning, match=r"/false failed on row_terms_cpu.cpp"):
        assert row_terms.backend_for("cpu") is row_terms_chunked
    assert not list(fresh.iterdir()), "nothing half-built is left"


def test_processes_that_compile_at_once_share_one_result(fresh):
    code = "from caref.kernels import row_terms, row_terms_cpu; assert row_terms.backend_for('cpu') is row_terms_cpu"
    started = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) for _ in range(2)]
    assert [process.wait() for process in started] == [0, 0]
    assert len(list(fresh.iterdir())) == 1


def test_a_home_that_cannot_be_written_compiles_elsewhere(fresh, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc")
    assert row_terms.backend_for("cpu") is row_terms_cpu
