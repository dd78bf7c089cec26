# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Do ambiguous utterances help?
#
# Raters call the emotion of some utterances *other* (O), and on others no emotion has a plurality (X). They have
# attributes like the rest, but no test split holds them. The systems here differ in what they train on:
#
# - `fusion`: the whole training split, with its O and X;
# - `fusion_without_ambiguous`: without them;
# - `fusion_fewer_agreed`: with them, but without as many of the others, a control of the same size;
# - `fusion_ambiguous_only`: on O and X alone. The paper's "- Non-O/X" can be read as this or as the control above;
# - `fusion_development_ambiguous`: with the O and X of the development split too;
# - `fusion_development_ambiguous_fewer_agreed`: the same, without as many others;
# - `fusion_development_ambiguous_disjoint`: with those O and X of the development split alone whose speakers have no
#   utterance in the validation set, which chooses the epoch.

# %% tags=["parameters", "quiet"]
profile = "embedded"
results = "results/embedded/paper"

# %% tags=["remove-input"]
from IPython.display import HTML, Markdown

from sercore import params
from study import comparisons
from study import plan as questions
from study import results as studies
from study.show import chapters, figures, report

params.refuse_unknown(In)
study = studies.read(profile, results)
HTML(report.banner(study.runs[0].params))

# %% [markdown]
# ## Answer, as measured

# %%
compared = comparisons.compare(study, questions.question(profile, "ambiguous_labels"))
Markdown(chapters.answer(compared))

# %% mystnb={"image": {"alt": "Forest plot: six other training sets, each against fusion"}}
figures.forest([compared])

# %%
HTML(chapters.differences_table(compared))

# %% [markdown]
# ## What each training set gives

# %%
HTML(chapters.scores_table(compared))

# %% [markdown]
# ## Does it leak?
#
# To train on development utterances and to choose the epoch on others by the same speakers lets the system know the
# voices by which it is chosen, and on which the paper measures. If that leaked, the gain of
# `fusion_development_ambiguous` on the validation set would be larger than on a test split of other speakers, and
# `fusion_development_ambiguous_disjoint`, which knows no voice of the validation set, would lose it. The development
# figures are those of all utterances on which none of these systems was trained, heard voices or not.

# %%
development = comparisons.compare(study, compared.question, "development")
HTML(chapters.leak_table(study.runs, [development, compared]))

# %% [markdown]
# ## What it means
#
# Leaving utterances out takes two things away: what they teach, and their number. The control of the same size tells
# the two apart: if leaving O and X out costs as much as leaving out as many others, then it is number that counts. The
# utterances of the development split add speakers too, so their gain, if any, is not one of ambiguity alone.

# %% [markdown]
# ## Beside the paper

# %%
Markdown(chapters.against_the_paper(compared))
