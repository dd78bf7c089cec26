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
# # Every run
#
# Each system was trained several times; the runs of a system differ by their seed, or by the fold that they test. This
# page lists all of them, and offers every table of the book as a file.

# %% tags=["parameters", "quiet"]
profile = "embedded"
results = "results/embedded/paper"

# %% tags=["remove-input"]
from IPython.display import HTML

from sercore import params
from study import comparisons
from study import results as studies
from study.show import chapters, report

params.refuse_unknown(In)
study = studies.read(profile, results)
HTML(report.banner(study.runs[0].params))

# %%
HTML(report.runs_table(study.runs))

# %% [markdown]
# ## Cost
#
# A row a system, with the median of its runs. Seconds are those of one run while others ran beside it.

# %%
report.costs(study.runs)

# %% [markdown]
# ## Tables as files
#
# CSV holds the numbers, of each attribute too; LaTeX holds the tables as the chapters show them.

# %%
answers = comparisons.compare_all(study)
HTML(chapters.files(answers, "scores", "differences"))
