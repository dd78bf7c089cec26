# %% [markdown]
# # How should the encoders be adapted?
#
# {cite:t}`lertpetchpun2025` fine-tune WavLM, keep Whisper and the text encoder frozen, and train one system for all
# three attributes. This chapter compares
#
# - the encoder of `fusion` fine-tuned (`fusion`), frozen (`fusion_frozen`) and with low-rank adapters (`fusion_lora`);
# - that of `whisper_fusion` frozen (`whisper_fusion`), with adapters (`whisper_lora`) and fine-tuned
#   (`whisper_finetuned`);
# - the text encoder frozen (`fusion`), with adapters (`fusion_text_lora`) and fine-tuned (`fusion_text_finetuned`);
# - one system for three attributes (`fusion`) and one for each (`fusion_by_attribute`);
# - the frozen encoder of Whisper tiny.en (`tiny_only`), pretrained on human speech, and the profile's own
#   (`whisper_only`).
#
# LoRA {cite:p}`lora` adds to a weight $W$ the product $\frac{\alpha}{r} B A$ of two matrices of rank $r$ and trains
# these alone; here $r = 8$ and $\alpha = 16$ in every linear map of the transformer {cite:p}`qlora`. The learning rate
# is that of {cite:t}`peftser`, who found LoRA the best of three ways to adapt speech encoders to emotion. No rate was
# tuned here.

# %% tags=["parameters", "quiet"]
profile = "embedded"
results = "results/embedded/adaptation"

# %% tags=["remove-input"]
from study import comparisons, plan, show
from study.chapters import adaptation
from study.results import read

show.refuse_unknown(In)
study = read(profile, results)
show.banner(study.params)

# %% [markdown]
# ## Results

# %% tags=["hide-input"]
question = plan.question(profile, "adaptation")
differences = comparisons.differences(study, question)
show.answer(differences)

# %% tags=["hide-input"] mystnb={"figure": {"name": "adaptation-forest", "caption": "Ways to adapt encoders: difference of mean CCC. Thin bar clear of 0: a difference; thick bar within the grey margin: an equivalence. Numbers and n: {numref}`adaptation-differences`."}, "image": {"alt": "Forest plot: ways to adapt encoders, and one system per attribute, against references"}}
grid = show.forest(differences)

# %% tags=["hide-input"]
show.differences(differences, "Difference of mean CCC between ways to adapt the encoders.")

# %% [markdown]
# ## Cost

# %% tags=["hide-input"] mystnb={"figure": {"name": "adaptation-prices", "caption": "Mean CCC of each system against its trained parameters and the seconds of a run, on logarithmic scales. Numbers: {numref}`adaptation-costs`."}, "image": {"alt": "Mean CCC of each system against its trained parameters and seconds of training"}}
costs = adaptation.costs(study, question)
prices = costs.melt(["system", "estimate"], ["trained parameters", "seconds a run"], "cost", "amount")
style = {"hue": "system", "col": "cost", "s": 60, "height": 3, "aspect": 1.1, "facet_kws": {"sharex": False}}
grid = show.relplot(prices, "amount", "estimate", ("", "mean CCC"), **style).set(xscale="log")

# %% tags=["hide-input"]
columns = ["system", "speech", "text", "estimate", "low", "high", *prices["cost"].unique(), "peak memory (MB)"]
show.show(
    costs[columns].rename(columns={"estimate": "mean CCC"}),
    "Mean CCC with 95 % limits, and the median cost of a run; memory is that of the process or accelerator.",
    "costs",
    costs,
)

# %% [markdown]
# Adapters save stored parameters, optimiser states and the gradients of the transformer's own weights, but not the
# forward and backward pass. A frozen encoder runs once for all epochs and seeds, and its output is kept on disk.
#
# ## CCC of all systems

# %% tags=["hide-input"]
show.scores(comparisons.scores(study, question), "CCC of each system, of one rater and of guessing.")

# %% [markdown]
# ## What it means
#
# - **Mechanism.** Fine-tuning fits the encoder to the task and may forget what it knew; adapters change less; a
#   frozen encoder does not change. Each way comes with its learning rate and its epochs: the differences are those of whole recipes,
#   and no better rate or rank is ruled out.
# - **In the simulation** the encoders are tiny: a rank of 8 is a good part of their width, and there is little to
#   forget. An encoder of human speech (`tiny_only`) has never heard a synthesiser, so its place here says nothing about
#   its worth on people.
# - **On human speech** EmoTale compares a frozen encoder with a fine-tuned one, of other size and pretraining ([real
#   speech](/notebooks/real_speech)). Nothing here follows for encoders of hundreds of millions of weights.
# - **In practice**, begin frozen: features are computed once for all epochs and seeds. One system per attribute means
#   three trainings ({numref}`adaptation-costs`); an ensemble of three systems for all attributes would be the fairer
#   reference at that price.
# - **A trap.** The attention of WavLM in transformers 5 reads the weights of its projections directly and so skips what
#   adapters add to them, without a warning. The attention used here calls them; tests compare it with merged weights.
#
# On your own corpus: `make study CHAPTER=adaptation PROFILE=msp_podcast DATA=/path/to/release`.
