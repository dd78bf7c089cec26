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
# # Does it help to know, or to learn, who speaks?
#
# Voices differ more than moods do, so a system may gain from being told the speaker, or from having to tell. There
# are three ways in the paper {cite:p}`lertpetchpun2025`:
#
# - `fusion_speaker_embedding` is given a frozen embedding of the voice;
# - `fusion_speaker` must tell the training speakers apart, by an additive angular margin {cite:p}`arcface`;
# - `fusion_gender` must tell the speaker's gender, at the same weight as each attribute; `fusion_gender_0.5` and
#   `fusion_gender_0.1` at a half and at a tenth of it.
#
# Each is held against `fusion`, which does none of this.

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
compared = comparisons.compare(study, questions.question(profile, "auxiliary_tasks"))
Markdown(chapters.answer(compared))

# %% mystnb={"image": {"alt": "Forest plot: three ways to use the speaker, each against fusion"}}
figures.forest([compared])

# %%
HTML(chapters.differences_table(compared))

# %% [markdown]
# ## What each system knows of the speaker

# %%
HTML(chapters.scores_table(compared))

# %% [markdown]
# ## What it means
#
# All three put the speaker into the representation, and a few speakers carry most of the training split ([the
# data](/notebooks/data)). What helps with these need not help with others, and every speaker of the test split is
# another. The weight of the gender loss is a choice as well: a gain that is there at one weight alone would be hard to
# tell from the luck of having tried several, for which Holm's procedure pays.

# %% [markdown]
# ## Beside the paper

# %%
Markdown(chapters.against_the_paper(compared))
