"""The cheapest pairing of rows and columns, for a handful of them: no library that takes half a second to import.

Source: shortest augmenting paths with potentials (Kuhn 1955; Jonker and Volgenant, Computing 1987).
"""

import math

import numpy as np


def cheapest_pairs(cost: np.ndarray) -> list[tuple[int, int]]:
    """Pairs (row, column) of the smallest sum of finite cost (N, M), min(N, M) of them, by row."""
    cost = np.asarray(cost, float)
    if cost.shape[0] > cost.shape[1]:
        return sorted((row, column) for column, row in cheapest_pairs(cost.T))
    rows, columns = cost.tolist(), cost.shape[1]
    row_of = [-1] * columns
    row_price, column_price = [0.0] * len(rows), [0.0] * columns
    for start in range(len(rows)):
        distance, before = [math.inf] * columns, [-1] * columns
        reached, row, last, travelled = [], start, -1, 0.0
        while row >= 0:  # until a column without a row is reached
            nearest = -1
            for column in range(columns):
                if column in reached:
                    continue
                length = travelled + rows[row][column] - row_price[row] - column_price[column]
                if length < distance[column]:
                    distance[column], before[column] = length, last
                if nearest < 0 or distance[column] < distance[nearest]:
                    nearest = column
            last, travelled, row = nearest, distance[nearest], row_of[nearest]
            reached.append(nearest)
        row_price[start] += travelled
        for column in reached[:-1]:
            row_price[row_of[column]] += travelled - distance[column]
            column_price[column] -= travelled - distance[column]
        while last >= 0:
            row_of[last] = row_of[before[last]] if before[last] >= 0 else start
            last = before[last]
    return sorted((row, column) for column, row in enumerate(row_of) if row >= 0)
