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
# # Does a system serve on another corpus?
#
# Corpora differ in speakers, microphones, ways to elicit emotion, raters and scales. The paper names the test on
# other corpora as open. Here every system is trained on each corpus that is at hand and tested on all of them.
#
# A low CCC elsewhere has two causes that call for different cures. If the **scale** is wrong, the predictions lie too
# high, too low, too close together or too far apart, and a few labelled utterances of the new corpus would mend it.
# If the **ranking** is wrong, the system does not hear which of two utterances is the more aroused, and no such map
# helps. So each CCC is given twice: as predicted, and *aligned*, after the predictions were given mean and standard
# deviation of the test corpus. The aligned CCC is Pearson's correlation, and where that is positive, no other map
# $a + b \cdot \text{prediction}$ with $b > 0$ gives a higher CCC.

# %% tags=["parameters", "quiet"]
profile = "embedded"
results = "results/embedded/cross_corpus"

# %% tags=["remove-input"]
from IPython.display import HTML, Markdown

from sercore import params
from study.chapters import across, across_report

params.refuse_unknown(In)
tables = across.read(results)
HTML(across_report.corpora_table(tables, profile))

# %% [markdown]
# A corpus is tested on the utterances on which its own study reports: the last labelled split, or the whole corpus
# where it has no official split. A system predicts from 0 to 1, which is mapped to the scale of the test corpus.
# Where folds take the place of splits, each run has learnt from a part of the corpus. Elsewhere each run is tested by
# itself and CCC is averaged, since the mean of their predictions would be an ensemble. On their own corpus, the folds
# are pooled.
#
# ## Answer, as measured

# %%
Markdown(across_report.answer(tables))

# %% mystnb={"image": {"alt": "Heat maps: mean CCC of all pairs of corpora, as predicted and aligned"}}
across_report.heat_map(tables)

# %% [markdown]
# A frame marks a system on its own corpus, tested on speakers whom it has not heard. Within a column all systems are
# tested on the same utterances, so a column may be read from top to bottom; two columns differ in how hard their
# utterances are.
#
# ## Each attribute

# %%
HTML(across_report.scores_table(tables, "ccc"))

# %%
HTML(across_report.scores_table(tables, "aligned"))

# %% [markdown]
# ## Ranking or scale?

# %%
HTML(across_report.losses_table(tables))

# %% [markdown]
# A system may rank the utterances of another corpus better than one that was trained there: that corpus may be
# smaller, or its folds may predict on levels of their own, which counts against the ranking once they are pooled.
#
# ## Do words help elsewhere?

# %%
Markdown(across_report.systems_answer(tables))

# %%
HTML(across_report.differences_table(tables))

# %% [markdown]
# ## What is known, and what is not

# %%
Markdown(across_report.limits(tables, profile))

# %% [markdown]
# - The intervals are over speakers, with the trained models as they are. Which corpora there are is no random sample:
#   the figures say nothing about a corpus that is not in the matrix.
# - What transfers from or to simulated speech shows that the measurement works. It says nothing about how people
#   transfer: a synthesiser and its rules are far from any recording.
# - EmoTale's sentences are the same in every emotion, by design. A system with text can gain nothing from them, so
#   what it loses there is what it had learnt to expect from words.
# - Aligning uses the labels of the test corpus. It is a bound on what a change of scale could gain, not a way to
#   predict.
# - Raters differ too. A corpus whose raters hardly agree has no system with a high CCC, whatever it was trained on.
#
# ## On your own corpora
#
# The corpora are an entry of `params/questions.yaml`, a name and a profile each:
#
# ```yaml
# open:
#   across:
#     corpora: {simulated: embedded, emotale: emotale, iemocap: iemocap}
# ```
#
# A corpus is found at the path in its profile (`data/emotale`, `data/iemocap`); a link there will do. One that is not
# there is left out. The corpus of `PROFILE` is always in:
#
# ```bash
# ln -s /path/to/IEMOCAP_full_release data/iemocap
# make study CHAPTER=cross_corpus PROFILE=msp_podcast DATA=/path/to/release
# ```
#
# For several releases of MSP-Podcast, copy `params/msp_podcast.yaml` for each, say to `params/msp_1_8.yaml`, give it
# the release's path, and add `msp_1_8: msp_1_8` to the entry. What a system has learnt from in one release, it is not
# tested on in another; a speaker may still be in both. Systems are comparable where their profiles name the same
# encoders: copy `params/emotale.yaml` and `params/iemocap.yaml` too, and give them the encoders of your release's
# profile.
