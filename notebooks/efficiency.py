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
# # What does it cost?
#
# A study is dozens of runs, and at the paper's scale each takes hours of a GPU. So what does not change is computed
# once, and what is padding is not computed at all. None of this changes a result: every way gives the same loss and
# the same gradients as transformers' own modules, and tests hold them together. This chapter tells what it saves,
# measured against the plain way in turns on the same machine:

# %% tags=["parameters", "quiet"]
profile = "embedded"
results = "results/embedded/paper"

# %% tags=["remove-input"]
from IPython.display import HTML, Markdown

from sercore import params
from study import results as studies
from study.chapters import efficiency_report, statistics_report
from study.show import report

params.refuse_unknown(In)
study = studies.read(profile, results)
HTML(report.banner(study.runs[0].params))

# %%
Markdown(efficiency_report.machines())

# %% [markdown]
# ## All together

# %%
HTML(efficiency_report.totals_table())

# %%
Markdown(efficiency_report.agreement())

# %% [markdown]
# ## What each change brings
#
# - **Cached front-end.** The convolutions that turn audio into frames are frozen, so their output is a constant of
#   each utterance; it is kept on disk.
# - **Packed frames.** Utterances of a batch differ in length. All layers but attention work on each frame for itself,
#   so they see only the frames that there are. The sum over layers grows while they run, instead of being taken from
#   a stack of all of them.
# - **FFT convolution.** The positional convolution reaches over more than a second, so it costs less as a product of
#   spectra.
# - **No gradient in the front-end.** transformers lets the waveform ask for a gradient, and with adapters nothing stops
#   it: the backward pass then goes through all convolutions, for nothing.

# %% mystnb={"image": {"alt": "Speed of a training step with each change, against the plain way, for two sizes"}}
efficiency_report.tricks_figure()

# %%
HTML(efficiency_report.tricks_table())

# %% [markdown]
# The model's parts by themselves:

# %%
HTML(efficiency_report.modules_table())

# %% [markdown]
# A batch that is good for training need not be so for prediction:

# %%
HTML(efficiency_report.batch_table())

# %% [markdown]
# How much of what the machine can do is used:

# %%
HTML(efficiency_report.products_table())

# %% [markdown]
# ## What is not the same
#
# Two things are computed otherwise than the plain way does, and thus with another result.
#
# Whisper's encoder takes 30 s, whatever the utterance; here it takes the utterance.

# %%
Markdown(efficiency_report.whisper_sentence())

# %% [markdown]
# The CCC of a batch is no mean over its utterances. Where a batch is spread over accumulation steps or devices, the
# usual average of their losses is that of small batches, with another gradient. `training: {exact_ccc: true}` takes the
# loss of the whole:

# %%
HTML(efficiency_report.exact_table())

# %% [markdown]
# ## How the cost grows

# %% mystnb={"image": {"alt": "Seconds of a training step against utterances, duration, width and layers"}}
efficiency_report.scaling_figure()

# %%
Markdown(efficiency_report.scaling_sentences())

# %% [markdown]
# ## What each system costs

# %%
HTML(efficiency_report.systems_table(study))

# %% [markdown]
# ## MSP-Podcast on one GPU

# %%
HTML(efficiency_report.estimate_table())

# %% [markdown]
# ## The statistics
#
# Intervals over speakers are cheap as well; [how they are made](/notebooks/significance) tells how.

# %%
HTML(statistics_report.benchmark_table())

# %% [markdown]
# All of this is made by `make benchmark` and `python benchmarks/significance.py`.
