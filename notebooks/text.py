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
# # Does it help to know the words?
#
# How a sentence sounds and what it says are two sources of one impression. The systems with text join a frozen
# embedding of the transcript to what the speech encoder gives ([the model](/method)); `speech_only` and `whisper_only`
# do without. The step is taken twice, since what text adds depends on what the speech encoder knows of the words
# already: WavLM, fine-tuned, was trained on sound alone, and Whisper, frozen, was trained to write words down (their
# small stand-ins know no words at all).
# {cite:t}`lertpetchpun2025` print the first of the two steps; both encoders occur in what they submitted.

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
compared = comparisons.compare(study, questions.question(profile, "text"))
Markdown(chapters.answer(compared))

# %% mystnb={"image": {"alt": "Forest plot: what text adds to WavLM and to Whisper, and Whisper in place of WavLM"}}
figures.forest([compared])

# %%
HTML(chapters.differences_table(compared))

# %% [markdown]
# ## With and without words

# %%
HTML(chapters.scores_table(compared))

# %% [markdown]
# ## What it means
#
# A step from `speech_only` to `fusion` is worth as much as the transcripts tell and no more: theirs are the words as
# they were meant, without a recogniser's errors. Where Whisper and WavLM differ, so do two things at once, the encoder
# and whether it was fine-tuned; the two rows that compare them tell which system is better, not why.

# %% [markdown]
# ## Beside the paper

# %%
Markdown(chapters.against_the_paper(compared))
