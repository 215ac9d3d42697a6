"""Capabilities: what games have beyond their losses, and methods and metrics need."""

from enum import StrEnum


class Capability(StrEnum):
    """What a game has beyond its losses.

    A task lists those of its games in `gives`, an algorithm or metric those that it
    relies on in `needs`; the text of a member completes a message, as in "gap needs
    a zero-sum game".
    """

    ZERO_SUM = "a zero-sum game"
    SOLUTION = "a game with a declared solution"
    NASH = "a game with a known Nash equilibrium"
    MINIMAX = "a game with known local minimax points"
    STATIONARY = "a game with known stationary points"
    SADDLE_GAP = "a game whose restricted gap has a closed form"
    PLANE = "a game of two variables"
    FINITE_SUM = "a game whose losses are means of finitely many terms"
    SIMPLEX = "a game of mixed strategies, on which entropic steps are possible"
    SAMPLES = "a game whose generator can be sampled"
    ONE_POINT = "a game whose generator makes one point of the plane"
    MODES = "a game whose samples lie near known modes"
    CLASSIFIER = "a game that trains a classifier against perturbed images"
    DIGITS = "a game that generates digits"
    CLASSES = "a game whose generator makes images of a class that is asked for"
    IMAGES = "a game that generates images"
    GREY_8 = "a game whose images are grey, 8 x 8"
    GREY_28 = "a game whose images are grey, 28 x 28"
    COLOUR_32 = "a game whose images have three colours, 32 x 32"
    PLAYERS = "a game of mmbench.game or mmbench.torch_task"
    LOGITS = "a game with a discriminator"
