# %% [markdown]
# # Efficiency
#
# At the paper's scale a run takes hours of a GPU. So what does not change is computed once, and padding is not computed
# at all. No result changes: every way gives the loss and the gradients of transformers' own modules, which tests
# verify. `make benchmark` measures each way beside the plain one, in turn on one machine.

# %% tags=["parameters", "quiet"]
profile = "embedded"
results = "results/embedded/paper"

# %% tags=["remove-input"]
from IPython.display import Markdown

from study import needs, show
from study.chapters import efficiency
from study.results import costs, read

show.refuse_unknown(In)
study = read(profile, results)
measured = needs.measured()
show.show(
    efficiency.machines().T.add_prefix("machine ").rename_axis("property"),
    "What each part was measured on. A GPU adds rows of its own to the tables below.",
    "machines",
)

# %% [markdown]
# ## Speed
#
# Plain: transformers' modules on padded batches, the front-end computed from the audio in every step, all hidden states
# stacked. **Cached front-end**: the frozen convolutions' output is read from disk. **Packed**: no padding
# outside attention, the positional convolution by FFT, torch's fused attention on utterances of similar length with
# recomputation in the backward pass, and the weighted average over layers summed on the way.

# %% tags=["hide-input"] mystnb={"figure": {"name": "efficiency-ways", "caption": "Times as fast as the plain way, by kind of step; bars: range over rounds. Numbers: {numref}`efficiency-speed`."}, "image": {"alt": "How many times as fast as the plain way each way is, by kind of step"}}
speed = measured.query("measure == 'times as fast' and way != 'plain'")
grid = show.points(speed.query("part.str.contains('step')"), "part", "times as fast as plain (bars: range)", hue="way")

# %% tags=["hide-input"]
show.scores(
    speed,
    "Times as fast as the first way of a part; median and range over rounds in turn.",
    rows=("device", "part", "precision", "way"),
    columns="measure",
    name="speed",
)

# %% [markdown]
# ## Memory and equality
#
# Memory: what a training step takes at most beyond weights, optimiser and data, in a process of its own.

# %% tags=["hide-input"]
steps = measured.query("part.str.contains('step')")
show.show(
    steps.query("measure in ['seconds', 'memory (MiB)', 'distance of the gradient']").pivot_table(
        "estimate", ["device", "part", "precision", "way"], "measure", sort=False
    ),
    "Median seconds and memory of a training step, and how far its gradient is from the plain one's, relative to its length.",
    "steps",
)

# %% tags=["hide-input"]
show.show(
    measured.query("part in ['exact CCC', 'killed and resumed', 'two processes']")
    .fillna({"size": "–", "precision": "–"})
    .pivot_table("estimate", ["device", "part", "size", "way", "precision"], "measure", sort=False),
    "Distance of a gradient from the whole batch's, relative to its length; for trainings, largest difference of a "
    "prediction from one process that is not interrupted.",
    "equality",
)

# %% [markdown]
# The CCC of a batch is no mean over its utterances: averaging the losses of accumulation steps or devices gives another
# gradient. `training: {exact_ccc: true}` takes the loss of the whole batch.
#
# ## The paper's scale
#
# `training: {checkpointing: true}` keeps of each layer its input alone and computes the rest again, so that a small GPU
# takes the batch that the loss needs. Of Whisper-Large, frozen, all hidden states of a
# release take terabytes; its log-mel spectrograms, of each utterance's own length, take a hundredth and are kept in
# their place. `python -m study plan` says what a study needs before it starts.

# %% tags=["remove-input"]
Markdown(efficiency.of_gpus())

# %% tags=["hide-input"]
show.show(
    efficiency.activations(),
    "What a step in bfloat16 keeps for its backward pass at the width of WavLM-Large and Whisper-Large; the last column "
    "is extrapolated to all layers.",
    "activations",
)

# %% tags=["hide-input"]
show.show(
    measured.query("part in ['reading', 'release', 'msp_podcast']")[
        ["device", "part", "size", "way", "measure", "estimate", "low", "high"]
    ],
    "Audio read or prepared, a release of short files read and cached, and steps of 32 utterances in bfloat16.",
    "scale",
)

# %% [markdown]
# ## Cost of each system

# %% tags=["hide-input"]
show.show(
    costs(study.runs), "Median over the runs of a system; seconds of one run while others ran beside it.", "costs"
)
