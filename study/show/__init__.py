"""How results are shown: tidy tables in, tables, figures and sentences out."""

from study.show.figures import curves, forest, heatmap, legend_above, points
from study.show.page import banner, players, refuse_unknown
from study.show.tables import differences, scores, show
from study.show.words import answer, beside_the_paper, caveat, contents, repeats

__all__ = ["curves", "forest", "heatmap", "legend_above", "points"]
__all__ += ["banner", "players", "refuse_unknown"]
__all__ += ["differences", "scores", "show"]
__all__ += ["answer", "beside_the_paper", "caveat", "contents", "repeats"]
