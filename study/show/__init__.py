"""How results are shown: tidy tables in, tables, figures and sentences out."""

from study.show.figures import curves, forest, points, spread
from study.show.page import banner, players
from study.show.tables import differences, scores, show
from study.show.words import answer, beside_the_paper, contents

__all__ = [
    "answer",
    "banner",
    "beside_the_paper",
    "contents",
    "curves",
    "differences",
    "forest",
    "players",
    "points",
    "scores",
    "show",
    "spread",
]
