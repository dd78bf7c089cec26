# %% [markdown]
# # All runs and their cost
#
# A system may be trained several times; its runs differ by their seed, or by the fold that they test.

# %% tags=["parameters", "quiet"]
profile = "embedded"
results = "results/embedded/paper"

# %% tags=["remove-input"]
from study import show
from study.results import costs, read, run_metrics

show.refuse_unknown(In)
study = read(profile, results)
show.banner(study.params)

# %% [markdown]
# ## Cost

# %% tags=["hide-input"]
show.show(
    costs(study.runs),
    "Median over the runs of a system; seconds of one run while others ran beside it.",
    "costs",
)

# %% [markdown]
# ## Runs

# %% tags=["hide-input"]
metrics = run_metrics(study.runs)
show.show(
    metrics.filter(regex="^(system|seed|test3|chosen|seconds|peak|.* mean)"),
    "CCC of each run on the reported splits. The development split chose the epoch, so its figures are optimistic.",
    "runs",
    metrics,
)
