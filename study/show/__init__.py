"""How results are shown: tidy tables in, tables, figures and sentences out."""

from sercore.report import forest
from study.show.figures import curves, heatmap, legend_above, points, relplot
from study.show.page import banner, players, refuse_unknown
from study.show.tables import differences, models, scores, show
from study.show.words import answer, beside_the_paper, caveat, contents, findings, repeats

__all__ = ["banner", "curves", "forest", "heatmap", "legend_above", "players", "points", "refuse_unknown"]
__all__ += ["answer", "beside_the_paper", "caveat", "contents", "differences", "findings", "models", "relplot"]
__all__ += ["repeats", "scores", "show"]
