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
# **Question.** How well do arousal, valence and dominance of an utterance follow from its sound? What does it
# add to know its words as well, and what to have the same network tell the speaker's gender?
# {cite:t}`lertpetchpun2025` won the attribute task of the Interspeech 2025 challenge with both. This study
# trains their system again, measures every step with an interval over speakers, and lets anyone run it: in
# minutes on simulated speech, on real speech that anyone can clone, and at the scale of the paper.

# %% tags=["parameters", "quiet"]
profile = "embedded"
results = "results/embedded"

# %% tags=["remove-input"]
from IPython.display import HTML, Markdown

from sercore import figures, params, report

params.refuse_unknown(In)
study = report.read(profile, results)
HTML(report.banner(study.runs[0].params))

# %% [markdown]
# ## Answer, as measured

# %%
scores = report.scores(study.runs)
split = report.reported_split(study.runs)
Markdown(report.answer(scores, split))

# %% [markdown]
# ## The three systems
#
# - `speech_only`: the speech encoder alone;
# - `fusion`: with a frozen embedding of the transcript, which every other system has as well;
# - `fusion_gender`: `fusion`, trained to tell the speaker's gender too.
#
# The right half of the table quotes the paper. It was measured on other speech with other encoders, so its
# values are not to be compared with ours, and no step here confirms or refutes one there.

# %%
HTML(report.results_table(scores, split))

# %% mystnb={"image": {"alt": "CCC of each system and attribute, with intervals"}}
figures.results(scores, split)

# %% [markdown]
# The marks are concordance correlations {cite:p}`lin1989`: 1 is perfect agreement with the raters' mean, and a
# constant prediction gets 0. The bars tell how far a value could move with other speakers. Two systems judge
# the same utterances, so their errors go together, and bars that overlap do not show that two systems are
# equal: they show that this table does not tell them apart. What one rater reaches gives the scale:

# %%
Markdown(report.rater_sentence(study.corpus, study.ratings, split))

# %% [markdown]
# ## What it took

# %%
report.costs(study.runs)

# %% [markdown]
# Where to go on: [the data](/notebooks/data), [the method](/method), [one run from sound to
# CCC](/notebooks/ablation), and [your own corpus](/your_corpus).
