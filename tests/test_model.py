import math

import pytest
import torch
from torch.nn import functional

from mixer.proxies.model import Llama, to_transformers
from mixer.proxies.size import flops_per_token, hidden_size, num_parameters
from pipelines.search_settings import Proxy

SMALL = Proxy(layers=3, width=32, heads=4, sequence=48)
WIDER = Proxy(layers=1, width=48, heads=2, hidden=80, sequence=16)


def tokens(vocabulary: int, *shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, vocabulary, shape, generator=torch.Generator().manual_seed(seed))


def lively(proxy: Proxy, vocabulary: int) -> Llama:
    """A model whose weights are far from their start, norms included, so that no part is idle."""
    model = Llama(proxy, vocabulary, seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.empty_like(parameter).normal_(0, 0.15, generator=generator))
    return model.eval()


@pytest.mark.parametrize("proxy", [SMALL, WIDER])
def test_logits_equal_those_of_transformers(proxy: Proxy) -> None:
    model = lively(proxy, 300)
    ids = tokens(300, 5, proxy.sequence)
    with torch.no_grad():
        ours, theirs = model(ids), to_transformers(model, end_of_text=0)(ids).logits
    assert ours.std() > 0.5  # else agreement would say nothing
    assert (ours - theirs).abs().max() < 1e-4
    assert torch.equal(ours.argmax(-1), theirs.argmax(-1))


def test_transformers_twin_survives_saving(tmp_path: object) -> None:
    from transformers import LlamaForCausalLM

    model = lively(WIDER, 100)
    to_transformers(model, end_of_text=0).save_pretrained(str(tmp_path))
    ids = tokens(100, 2, 16)
    with torch.no_grad():
        again = LlamaForCausalLM.from_pretrained(str(tmp_path)).eval()(ids).logits
        assert (model(ids) - again).abs().max() < 1e-4


def test_position_sees_nothing_that_follows() -> None:
    model = lively(SMALL, 100)
    ids = tokens(100, 2, 48)
    changed = ids.clone()
    changed[:, 20:] = (changed[:, 20:] + 1) % 100
    with torch.no_grad():
        before, after = model(ids), model(changed)
    torch.testing.assert_close(before[:, :20], after[:, :20])
    assert (before[:, 20:] - after[:, 20:]).abs().max() > 0.1


@pytest.mark.parametrize("vocabulary", [300, 9000])  # one chunk of logits, and several
def test_loss_is_summed_cross_entropy_and_skips_negative(vocabulary: int) -> None:
    model = lively(SMALL, vocabulary)
    ids, following = tokens(vocabulary, 4, 48), tokens(vocabulary, 4, 48, seed=1)
    following[1, 30:] = -1
    with torch.no_grad():
        plain = functional.cross_entropy(
            model(ids).flatten(0, 1), following.flatten(), ignore_index=-1, reduction="sum"
        )
        torch.testing.assert_close(model.loss(ids, following), plain)


@pytest.mark.parametrize("proxy", [SMALL, WIDER, Proxy()])
def test_parameter_count_is_the_models(proxy: Proxy) -> None:
    assert num_parameters(proxy, 2048) == sum(p.numel() for p in Llama(proxy, 2048).parameters())


def test_flops_are_those_that_torch_counts() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    proxy = Proxy(layers=2, width=32, heads=4, sequence=32)
    model, ids = Llama(proxy, 200), tokens(200, 2, 32)
    with FlopCounterMode(display=False) as counter:
        model(ids).sum().backward()
    attention = 6 * proxy.layers * proxy.sequence * proxy.width  # torch does not count its CPU kernel
    assert counter.get_total_flops() / ids.numel() == flops_per_token(proxy, 200) - attention


def test_seed_decides_the_start() -> None:
    first, same, other = (Llama(SMALL, 100, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["embedding"], other["embedding"])


def test_untrained_model_is_near_uniform() -> None:
    model, ids, following = Llama(Proxy(), 2048, seed=3), tokens(2048, 4, 128), tokens(2048, 4, 128, seed=1)
    with torch.no_grad():
        assert float(model.loss(ids, following)) / ids.numel() == pytest.approx(math.log(2048), abs=0.3)


def test_hidden_size() -> None:
    assert hidden_size(Proxy(width=64)) == 176  # 170.67, up to a multiple of 16
    assert hidden_size(Proxy(width=768, heads=12)) == 2048
    assert hidden_size(WIDER) == 80
