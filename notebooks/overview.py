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
# # The study in one page
#
# **Question.** {cite:t}`lertpetchpun2025` won the attribute task of the Interspeech 2025 challenge: to tell arousal,
# valence and dominance of an utterance. Which of the winning system's choices matter, by how much, and how sure can
# one be? The paper prints differences as small as a few thousandths, without intervals and without a test. This study
# trains the paper's systems again, with several seeds, and tests each step over speakers. Anyone can run it: in
# minutes on simulated speech, on real speech that anyone can clone, and at the scale of the paper.

# %% tags=["parameters", "quiet"]
profile = "embedded"
results = "results/embedded/paper"

# %% tags=["remove-input"]
from IPython.display import HTML, Markdown

from sercore import params
from study import comparisons
from study import results as studies
from study.show import chapters, figures, report

params.refuse_unknown(In)
study = studies.read(profile, results)
HTML(report.banner(study.runs[0].params))

# %% [markdown]
# ## Answer, as measured

# %% mystnb={"image": {"alt": "Forest plot: every declared difference of mean CCC with its interval, by question"}}
answers = comparisons.compare_all(study)
figures.forest(answers)

# %% [markdown]
# A mark is the difference between two systems' mean concordance correlation {cite:p}`lin1989` of the three attributes:
# right of the line the first-named system is better. A difference is *resolved*, and its mark filled, where the test
# holds after Holm's correction {cite:p}`holm1979` for all comparisons of the question, and where it lies outside the
# grey band: true differences within it would go unnoticed in more than one of five studies of this size. Unresolved
# does not mean equal. The diamonds quote the paper, which measured on other speech with other encoders.

# %%
HTML(chapters.overview_table(answers))

# %% [markdown]
# ## Question by question

# %%
Markdown(chapters.contents(answers))

# %% [markdown]
# What one rater reaches gives the scale for all of them:

# %%
Markdown(report.rater_sentence(study.corpus, study.ratings, answers[0].split))

# %% [markdown]
# Where to go on: [the data](/notebooks/data), [the method](/method), [what the tests are worth, and what the paper
# could have detected](/notebooks/significance), [one run from sound to CCC](/notebooks/ablation), [every
# run](/notebooks/runs), and [your own corpus](/your_corpus). What the paper leaves open has chapters of its own, which
# `make study CHAPTER=open` runs: adaptation, speakers, ambiguous labels, transcripts, other corpora, the protocol of
# validation, the weight of the gender loss, and who is served.
