"""The cheapest pairing of rows and columns, without a library that takes half a second to import.

Source: shortest augmenting paths with potentials (Kuhn 1955; Jonker and Volgenant, Computing 1987).
"""

import numpy as np


def cheapest_pairs(cost: np.ndarray) -> list[tuple[int, int]]:
    """Pairs (row, column) of the smallest sum of finite cost (N, M), min(N, M) of them, by row."""
    cost = np.asarray(cost, float)
    if cost.shape[0] > cost.shape[1]:
        return sorted((row, column) for column, row in cheapest_pairs(cost.T))
    if not cost.size:
        return []
    row_of = np.full(cost.shape[1], -1)
    row_price, column_price = cost.min(1), np.zeros(cost.shape[1])
    later = []  # rows whose cheapest column an earlier row has
    for row, column in enumerate(cost.argmin(1).tolist()):
        if row_of[column] < 0:
            row_of[column] = row
        else:
            later.append(row)
    for row in later:
        _augment(cost, row_price, column_price, row_of, row)
    return sorted((row, column) for column, row in enumerate(row_of.tolist()) if row >= 0)


def _augment(cost, row_price, column_price, row_of, start):
    """Give row `start` a column, exchanging columns of other rows on the cheapest way: the arrays change in place."""
    columns = len(column_price)
    distance = cost[start] - row_price[start] - column_price
    before, open_distance = np.full(columns, -1), distance.copy()  # infinite once reached
    reached = []
    while True:
        nearest = int(open_distance.argmin())
        travelled, row = distance[nearest], row_of[nearest]
        if row < 0:
            break
        reached.append(nearest)
        open_distance[nearest] = np.inf
        length = travelled + cost[row] - row_price[row] - column_price
        nearer = (length < distance) & (open_distance < np.inf)
        distance[nearer] = open_distance[nearer] = length[nearer]
        before[nearer] = nearest
    row_price[start] += travelled
    row_price[row_of[reached]] += travelled - distance[reached]
    column_price[reached] -= travelled - distance[reached]
    while nearest >= 0:
        row_of[nearest] = row_of[before[nearest]] if before[nearest] >= 0 else start
        nearest = before[nearest]
