# %% [markdown]
# # Do systems generalise from one language to another?
#
# EmoTale {cite:p}`emotale` holds the same sentences and emotions in English and Danish. `speech_only` is trained on one
# language and tested on unseen speakers of each: who speaks both languages is in the same fold in both. So is
# `readout_raw_20`, which averages the raw states of the frozen encoder, as the paper does. The encoder of Whisper tiny.en,
# frozen in the profile `emotale`, was pretrained on English alone.

# %% tags=["parameters", "quiet"]
profile = "emotale"
results = "results/emotale/languages"

# %% tags=["remove-input"]
from study import plan, show
from study.chapters import languages
from study.results import read

show.refuse_unknown(In)
show.banner(read(profile, results).params)

# %% [markdown]
# ## Results

# %% tags=["hide-input"]
question = plan.question(profile, "languages")
differences = languages.differences(profile, results, question)
show.answer(differences)

# %% tags=["hide-input"]
table = languages.scores(profile, results, question)
show.scores(
    table,
    "CCC on unseen speakers; aligned: after the predictions were given the gold values' mean and spread.",
    rows=("system", "trained on", "tested on", "measure"),
)

# %% tags=["hide-input"] mystnb={"figure": {"name": "languages-pairs", "caption": "Mean CCC of `speech_only` by language of training and of test, as predicted and aligned, with 95 % intervals over speakers. Numbers and n: {numref}`languages-scores`."}, "image": {"alt": "Mean CCC of speech_only by language of training and of test, as predicted and aligned"}}
pairs = table.assign(pair=table["trained on"] + " to " + table["tested on"])
grid = show.points(pairs.query("endpoint == 'mean' and system == 'speech_only'"), "pair", "mean CCC", hue="measure")

# %% tags=["hide-input"]
show.differences(
    differences, "Differences of mean CCC, one family; in brackets the language of training.", rows=("split",)
)

# %% [markdown]
# ## What it means
#
# - **Mechanism.** What alignment adds is an error of scale: the system predicts another mean or spread than the raters
#   of that language give. What is then left to the CCC within the language is an error of ranking.
# - **On human speech** emotions and kind of raters are the same in both languages, and the sentences are translations.
#   Those who speak English also speak Danish; some speak Danish alone. Other languages, and emotions that are not enacted, may behave otherwise.
# - **In practice**, a few labelled utterances of the new language mend an error of scale. An error of ranking needs
#   training data.
