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
# # Are ensembles better?
#
# Both systems that {cite:t}`lertpetchpun2025` submitted are ensembles: the mean of what a few systems predict, here
# taken seed by seed and without training anything anew.
#
# - `ensemble_two` (place 1): `speech_gender_development_ambiguous` and `whisper_fusion`;
# - `ensemble_three` (place 2): `speech_gender_development_ambiguous`, `speech_gender` and
#   `whisper_gender_development_ambiguous`.
#
# `ensemble_two` is held against each of its members, for an ensemble is worth its price only where it beats the better
# one, and both against the challenge's `baseline`.

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
compared = comparisons.compare(study, questions.question(profile, "ensembles"))
Markdown(chapters.answer(compared))

# %% mystnb={"image": {"alt": "Forest plot: ensembles against baseline, members and each other"}}
figures.forest([compared])

# %%
HTML(chapters.differences_table(compared))

# %% [markdown]
# ## Ensembles, members and baseline

# %%
HTML(chapters.scores_table(compared))

# %% [markdown]
# ## What it means
#
# A mean of predictions errs less where its members err differently, and it draws towards the middle of the scale,
# which CCC punishes. Which of the two wins is what the table tells. A gain over the baseline holds all that differs
# between them: encoders, text, auxiliary task, sampling, and the mean itself.

# %% [markdown]
# ## Beside the paper

# %%
Markdown(chapters.against_the_paper(compared))

# %% [markdown]
# What is known of the challenge's own ranking, on a test set whose labels are hidden:

# %%
HTML(chapters.quoted_table("Test3"))
