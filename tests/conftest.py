"""Models that load once in a run and stay as they were."""

import pytest


def fingerprint(model) -> tuple:
    """What must not change: every number of the weights in one sum, and whether the model is in eval mode."""
    total = sum(float(p.detach().double().abs().sum()) for p in model.tower.parameters())
    return total, any(module.training for module in model.tower.modules())


@pytest.fixture(scope="session")
def load():
    """`load(name, **what kit.load takes)`: the same model object for the same words, for reading only.

    A test that changes weights or modes takes `model.double()` or loads its own. What
    was changed all the same is named when the run ends.
    """
    import kit

    models, before = {}, {}

    def once(name, pretrained=None, **options):
        key = (name, pretrained, *sorted((k, repr(v)) for k, v in options.items()))
        if key not in models:
            models[key] = kit.load(name, pretrained, **options)
            before[key] = fingerprint(models[key])
        return models[key]

    yield once
    changed = [key[0] for key, model in models.items() if fingerprint(model) != before[key]]
    assert not changed, f"tests changed the weights or the mode of shared models: {changed}"


@pytest.fixture(scope="session")
def stickers(load):
    """The shipped model that most notebooks use."""
    return load("stickers-l8")
