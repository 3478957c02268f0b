from __future__ import annotations

import torch
from torch.nn import functional as F

from napari_nucbudget.nets.context_cnn import ContextCnn, ContextCnnConfig


def network(seed=0):
    made = ContextCnn(ContextCnnConfig(classes=3))
    made.initialise(torch.Generator().manual_seed(seed))
    return made.eval()


def test_weights_take_less_than_five_megabytes():
    made = network()
    assert sum(p.numel() for p in made.parameters()) == 1_064_515
    assert sum(v.nbytes for v in made.state_dict().values()) < 5_000_000


def test_patches_give_one_logit_a_class():
    assert network()(torch.zeros(2, 3, 65, 65)).shape == (2, 3)


def test_surroundings_beyond_the_near_view_count():
    x = torch.zeros(1, 3, 65, 65)
    other = x.clone()
    other[..., :10, :] = 1.0
    made = network()
    assert not torch.equal(made(x), made(other))


def test_the_near_stream_sees_the_middle_alone():
    made = network()
    made.far = torch.nn.Module()
    made.far.forward = lambda h: torch.zeros(len(h), 320)  # type: ignore[method-assign]
    x = torch.zeros(1, 3, 65, 65)
    other = F.pad(torch.zeros(1, 3, 33, 33), (16, 16, 16, 16), value=1.0)
    assert torch.equal(made(x), made(other))


def test_rows_of_a_batch_do_not_touch_one_another():
    made = network()
    x = torch.randn(3, 3, 65, 65, generator=torch.Generator().manual_seed(1))
    together, alone = made(x)[1], made(x[1:2])[0]
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)
