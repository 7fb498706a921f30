"""Maps against masks: the reference implementation, known answers, maps that know nothing."""

import pytest
import torch
from sklearn.metrics import average_precision_score

from kit.errors import KitError
from kit.measures import average_precision, mass_inside, pointing, points_apart

ALL = (average_precision, pointing, mass_inside)
PIXELS = 8  # of a token


def drawn(seed: int, levels: int = 1000, batch: int = 5, tokens: int = 30):
    """Maps of so many different values, and masks that cut tokens."""
    random = torch.Generator().manual_seed(seed)
    maps = torch.randint(0, levels, (batch, tokens), generator=random).double() - levels // 3
    inside = torch.randint(0, PIXELS + 1, (batch, tokens), generator=random).double() / PIXELS
    return maps, inside


@pytest.mark.parametrize("levels", [1, 2, 5, 10_000])
def test_average_precision_is_scikit_learns_over_all_pixels(levels):
    maps, inside = drawn(seed=levels, levels=levels)
    wanted = []
    for values, shares in zip(maps, inside, strict=True):
        on = (PIXELS * shares).long()
        truth = torch.cat([torch.arange(PIXELS) < n for n in on])
        wanted.append(average_precision_score(truth.numpy(), values.repeat_interleave(PIXELS).numpy()))
    assert average_precision(maps, inside).tolist() == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("measure", ALL)
def test_the_mask_as_a_map_is_right_and_its_complement_wrong(measure):
    inside = torch.tensor([[1.0, 1.0, 0.0, 0.0, 0.0, 0.0]])
    assert measure(inside, inside).tolist() == [1.0]
    assert measure(1 - inside, inside).item() <= 1 / 3 + 1e-6  # all tokens are needed to find the two


@pytest.mark.parametrize("measure", ALL)
def test_a_constant_map_gets_the_objects_share(measure):
    _, inside = drawn(seed=0)
    assert measure(torch.ones_like(inside), inside).tolist() == pytest.approx(inside.mean(1).tolist())


@pytest.mark.parametrize("measure", ALL)
def test_noise_gets_the_objects_share_on_average(measure):
    noise = torch.randn(4000, 196, generator=torch.Generator().manual_seed(1))
    inside = torch.zeros_like(noise)
    inside[:, :49] = 1
    # a quarter of the tokens: the mean of 4,000 single tokens has a standard error of 0.007
    assert measure(noise, inside).mean().item() == pytest.approx(0.25, abs=0.025)


@pytest.mark.parametrize("measure", ALL)
def test_the_order_of_tokens_does_not_matter(measure):
    maps, inside = drawn(seed=3, levels=6)
    order = torch.randperm(maps.shape[1], generator=torch.Generator().manual_seed(4))
    assert torch.allclose(measure(maps, inside), measure(maps[:, order], inside[:, order]))


def test_negative_values_are_no_mass():
    maps, inside = torch.tensor([[2.0, -6.0, 2.0], [-1.0, -2.0, 0.0]]), torch.tensor([[1.0, 1.0, 0.0]] * 2)
    assert mass_inside(maps, inside).tolist() == [0.5, 0.0]


@pytest.mark.parametrize("measure", ALL)
@pytest.mark.parametrize(
    ("maps", "inside", "message"),
    [
        (torch.ones(2, 3), torch.ones(2, 4), r"inside should be \[batch=2, token=3\]"),
        (torch.full((1, 3), float("nan")), torch.ones(1, 3), "maps hold values that are not finite"),
        (
            torch.ones(1, 3),
            torch.tensor([[0.0, 2.0, 0.0]]),
            "go from 0 to 2; they should lie between 0 and 1",
        ),
        (torch.ones(2, 3), torch.tensor([[1.0, 0, 0], [0, 0, 0]]), "mask 1 is empty"),
    ],
)
def test_bad_input_is_named(measure, maps, inside, message):
    with pytest.raises(KitError, match=message):
        measure(maps, inside)


def test_the_highest_token_tells_two_objects_apart():
    maps = torch.tensor([[1.0, 2, 0], [5, 2, 0], [0, 0, 1]])
    on = torch.tensor([[[0, 1, 0], [1, 0, 0]]] * 3)
    assert points_apart(maps, on).tolist() == [1, -1, 0]
    assert points_apart(maps, torch.ones(3, 2, 3)).tolist() == [0, 0, 0]
    with pytest.raises(KitError):
        points_apart(maps, on[:2])
