# %% [markdown]
# # Overview
#
# {cite:t}`lertpetchpun2025` won the attribute task of the Interspeech 2025 challenge: to predict arousal, valence and
# dominance of an utterance. Which of the winning system's choices matter, and by how much? The paper reports
# differences as small as a few thousandths, without intervals or tests. This study trains its systems again, at a small
# scale, on simulated speech and on real speech that anyone can fetch, and tests each step over speakers. The same code
# runs at the paper's scale for those who have MSP-Podcast.

# %% tags=["parameters", "quiet"]
profile = "embedded"
results = "results/embedded/paper"
real = "results/emotale/paper"

# %% tags=["remove-input"]
from study import comparisons, plan, show
from study.chapters import overview
from study.results import read

show.refuse_unknown(In)
study, human = read(profile, results), read("emotale", real)
show.banner(study.params, human.params)

# %% [markdown]
# ## Answers

# %% tags=["hide-input"]
found = overview.found(study, human)
show.findings(found)

# %% [markdown]
# Listed are all comparisons on EmoTale, which are exploratory, and on other speech the confirmatory family: steps whose
# differences the paper prints. All other comparisons are exploratory ({numref}`overview-forest`). [The method](/method)
# defines the verdicts ({numref}`verdicts`). {numref}`overview-leaderboard` ranks the systems, {numref}`overview-steps`
# shows each step by attribute.

# %% tags=["hide-input"]
show.scores(
    overview.leaderboard(study),
    "All systems that this profile compares: CCC, and the median time of a run.",
    rows=("system", "label", "encoder", "cost"),
    name="leaderboard",
)

# %% tags=["hide-input"] mystnb={"figure": {"name": "overview-steps", "caption": "Difference of CCC by step (the paper's names) and attribute, with 95 % intervals; those of the mean are simultaneous."}, "image": {"alt": "Heat map: difference of CCC by step and attribute"}}
named = f"names are the paper's; WavLM stands for {study.params.speech.encoder.split('/')[-1]}"
grid = show.heatmap(next(iter(found.values())), "step", "endpoint", (named, ""), height=7)

# %% tags=["hide-input"] mystnb={"figure": {"name": "overview-forest", "caption": "Difference of mean CCC {cite:p}`lin1989` by question. Thin bar clear of 0: a difference; thick bar within the grey margin: an equivalence; cross: the paper's. Numbers and n: {numref}`overview-differences`."}, "image": {"alt": "Forest plot: every tested difference of mean CCC with its intervals, by question"}}
differences = comparisons.all_differences(study)
grid = show.forest(differences, row="question")

# %% [markdown]
# ## What became of the paper's claims

# %% tags=["hide-input"]
show.show(
    overview.claims(found),
    f"Differences of mean CCC, the paper's and ours by kind of speech; on EmoTale with a frozen encoder, and text only where that is the step; {named}.",
    "claims",
)

# %% tags=["hide-input"]
show.differences(differences, "All tested differences of mean CCC.", rows=("question", "family"))

# %% [markdown]
# ## Questions

# %% tags=["hide-input"]
show.contents(profile)

# %% [markdown]
# One rater against the mean of the others, for comparison:

# %% tags=["hide-input"]
first = next(iter(plan.questions(profile).values()))
show.scores(comparisons.scores(study, first), "CCC of the systems of the first question, of one rater and of guessing.")

# %% [markdown]
# About every figure that is quoted from the paper:

# %% tags=["hide-input"]
show.caveat()

# %% [markdown]
# Read on: [the data](/notebooks/data), [the method](/method), [how reliable the tests are, and what the paper could
# have detected](/notebooks/significance), [one run from sound to CCC](/notebooks/ablation), [every
# run](/notebooks/runs), [your own corpus](/your_corpus), and [how to cite](/cite). The chapters on what the paper leaves
# open are made by `make study CHAPTER=open`.
