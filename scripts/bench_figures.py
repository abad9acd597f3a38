# SPDX-License-Identifier: LGPL-2.1-or-later
"""What vpump-bench has written (bench/figures.h), for the scripts beside it."""
import json
import statistics

LIMIT, OURS = "limit", "vpump"


def is_variant_of(competitor, base):
    return competitor == base or competitor.startswith(base + "-")


def is_peer(competitor):
    return not (is_variant_of(competitor, LIMIT) or
                is_variant_of(competitor, OURS))


def in_order(items):
    """Figures or curves, the limit's first and ours last; else as they are."""
    def rank(item):
        competitor = item["competitor"]
        if is_variant_of(competitor, LIMIT):
            return 0
        return 1 if is_peer(competitor) else 2
    return sorted(items, key=rank)


def ratios(samples, others):
    """Of the repetitions, value by value; empty if there are none."""
    if len(samples) != len(others) or 0 in others:
        return []
    return [a / b for a, b in zip(samples, others)]


class Figures:
    def __init__(self, document):
        self.document = document
        self.all = document["figures"]
        self.curves = document["curves"]
        self.by_key = {(f["name"], f["competitor"]): f for f in self.all}

    def find(self, name, competitor):
        return self.by_key.get((name, competitor))

    def competitors(self, name):
        return [f["competitor"] for f in self.all if f["name"] == name]

    def samples(self, name, competitor):
        """By repetition; empty if it was not measured."""
        figure = self.find(name, competitor)
        return figure["samples"] if figure else []

    def ratio(self, name, competitor, other_name, other):
        """That of each repetition; empty if there is none."""
        return ratios(self.samples(name, competitor),
                      self.samples(other_name, other))

    def best_peer(self, name, but=()):
        """The peer, and none of BUT, with the best median, or None."""
        peers = [f for f in self.all if f["name"] == name and
                 is_peer(f["competitor"]) and f["competitor"] not in but]
        best = None
        for peer in peers:
            higher = peer["better"] == "higher"
            if best is None or (peer["value"] > best["value"] if higher else
                                peer["value"] < best["value"]):
                best = peer
        return best and best["competitor"]


def load(path):
    with open(path, encoding="utf-8") as file:
        return Figures(json.load(file))


def median(samples):
    return statistics.median(samples) if samples else None
