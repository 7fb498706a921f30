"""Precision of retrieval: how many of the nearest images share an attribute with the query. No model."""

import numpy as np

from kit.errors import KitError


def precision_at_k(neighbours, codes, queries=None) -> np.ndarray:
    """Share of each query's nearest images that have the query's own value of an attribute.

    Args:
        neighbours: numbers of the nearest images, the query not among them, [query, k].
        codes: value of the attribute of each image, [image]; of several attributes [image, attribute].
        queries: number of each query among the images; None = the queries are all images, in order.

    Returns:
        float64 [query] or [query, attribute], 0-1. Its mean is what `chance_precision` says where the
        ranking knows nothing.

    Raises:
        KitError: neighbours of another shape, a number that no image has, a query among its own neighbours.

    Source:
        Manning, Raghavan and Schütze 2008, Introduction to Information Retrieval, section 8.4.

    Example:
        >>> precision_at_k([[1, 2], [0, 2], [0, 1]], ["red", "red", "blue"]).tolist()
        [0.5, 0.5, 0.0]
    """
    neighbours, codes = np.asarray(neighbours), np.asarray(codes)
    queries = np.arange(len(codes)) if queries is None else np.asarray(queries)
    if neighbours.ndim != 2 or len(neighbours) != len(queries) or neighbours.shape[1] == 0:
        raise KitError(
            f"neighbours should be [query, k] of {len(queries)} queries, but the shape is {neighbours.shape}."
        )
    if neighbours.min() < 0 or max(neighbours.max(), queries.max()) >= len(codes):
        raise KitError(f"neighbours name images beyond the {len(codes)} that have a value.")
    if (neighbours == queries[:, None]).any():
        raise KitError("a query is among its own neighbours, which would flatter every space; leave it out.")
    return (codes[neighbours] == codes[queries][:, None]).mean(1)


def chance_precision(codes) -> np.ndarray:
    """The expected precision of each image as a query where the others are ranked at random.

    That is the share of the *other* images that have its value; the mean over images is the probability
    that two images drawn without replacement have the same value.

    Args:
        codes: value of the attribute of each image, [image].

    Returns:
        float64 [image], 0-1.

    Raises:
        KitError: fewer than two images.

    Example:
        >>> chance_precision(["red", "red", "blue"]).tolist()
        [0.5, 0.5, 0.0]
    """
    codes = np.asarray(codes)
    if codes.ndim != 1 or len(codes) < 2:
        raise KitError(f"chance needs two images or more, but the shape of the values is {codes.shape}.")
    _, which, counts = np.unique(codes, return_inverse=True, return_counts=True)
    return (counts[which] - 1) / (len(codes) - 1)


def shuffled_precision(neighbours, codes, seed: int, queries=None, draws: int = 200) -> np.ndarray:
    """The mean precision with the values dealt out to the images anew, [draw].

    Rankings stay as they are. An interval over queries is too narrow for this question: some images are
    near to many queries, and which value *they* were dealt moves the figures of all of them together.

    Args:
        neighbours, codes, queries: as for `precision_at_k`.
        seed: of the shuffles.
        draws: how many.

    Returns:
        float64 [draw], 0-1.

    Raises:
        KitError: as `precision_at_k`.

    Example:
        >>> shuffled_precision([[1, 2], [0, 2], [0, 1]], ["red", "red", "blue"], seed=0, draws=2).tolist()
        [0.3333333333333333, 0.3333333333333333]
    """
    rng, codes = np.random.default_rng(seed), np.asarray(codes)
    used = np.arange(len(codes)) if queries is None else np.asarray(queries)
    found = []
    for _ in range(draws):
        dealt = codes.copy()
        dealt[used] = rng.permutation(codes[used])
        found.append(precision_at_k(neighbours, dealt, queries).mean())
    return np.array(found)
