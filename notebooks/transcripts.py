# %% [markdown]
# # From which word error rate do transcripts stop helping?
#
# The paper uses human transcripts {cite:p}`lertpetchpun2025`. In use there are none, or those of a speech recogniser.
# Three systems are tested on the same utterances, of which only the transcripts change:
#
# - `fusion`, trained on the transcripts as they are;
# - `fusion_noisy_text`, trained and validated on transcripts with errors;
# - `speech_only`, without text.
#
# Words are substituted, deleted and inserted, equally often unless a row says otherwise; words to insert are drawn by
# their frequency in the corpus. What is wrong at a low rate is wrong at a higher one too. Word error rates are the
# measured ones; high ones fall below those asked for, since they count the fewest edits.

# %% tags=["parameters", "quiet"]
profile = "embedded"
results = "results/embedded/transcripts"

# %% tags=["remove-input"]
from IPython.display import Markdown

from study import plan, show
from study.chapters import transcripts
from study.results import read, read_tables

show.refuse_unknown(In)
study = read(profile, results)
question = plan.question(profile, "transcripts")
rates = read_tables(results, ["wer"])["wer"]
show.banner(study.params)

# %% [markdown]
# ## Results

# %% tags=["hide-input"]
scores = transcripts.scores(study, question, rates).query("endpoint in ['valence', 'mean']")
words = scores[scores["evaluation"].str.startswith("words")]
differences = transcripts.differences(study, question, rates, ["words", "recognised"])
Markdown(transcripts.answer(differences))

# %% tags=["hide-input"] mystnb={"figure": {"name": "transcripts-wer", "caption": "CCC of valence and mean CCC by word error rate, with 95 % intervals over speakers. Differences and n: {numref}`transcripts-differences`."}, "image": {"alt": "CCC of valence and mean CCC against the word error rate, of three systems"}}
grid = show.curves(words, "wer", ("word error rate", "CCC"), hue="system", col="endpoint")

# %% tags=["hide-input"]
show.differences(
    differences.assign(wer=differences["wer"].map("{:.0%}".format)),
    "Difference of mean CCC by word error rate; all rows are one family.",
    rows=("evaluation", "wer"),
)

# %% [markdown]
# `words_10` asks for errors in 10 % of the words; `recognised` are ASR transcripts, where a recogniser is installed.
#
# ## Kinds of error
#
# A deleted word is missing; a substituted one misleads in its place; an inserted one adds to what was said.

# %% tags=["hide-input"]
kinds = transcripts.differences(study, question, rates, ["substitutions", "deletions", "insertions"])
show.differences(
    kinds.assign(wer=kinds["wer"].map("{:.0%}".format)),
    "Difference of mean CCC with errors of one kind; all rows are one family.",
    rows=("evaluation", "wer"),
    name="kinds",
)

# %% [markdown]
# ## Missing transcripts
#
# An utterance without transcript gets zeros in place of its text embedding. No system was trained on such utterances,
# unless the corpus itself has some.

# %% tags=["hide-input"]
missing = transcripts.differences(study, question, rates, ["missing"])
show.differences(
    missing.assign(missing=missing["missing"].map("{:.0%}".format)),
    "Difference of mean CCC by the share of missing transcripts; all rows are one family.",
    rows=("missing",),
    name="missing",
)

# %% [markdown]
# ## Measured error rates

# %% tags=["hide-input"]
show.show(
    rates,
    "Fewest edits as shares of the words, without case and punctuation; of a system, its training split.",
    "rates",
)

# %% [markdown]
# ## What it means
#
# - **Mechanism.** Errors take words away or put wrong ones in their place; inserted ones leave the right words there.
#   Training on noisy transcripts can teach a system to trust the words less. Without a transcript, a system depends on whether it met missing ones in training; dropping
#   transcripts at random in training was not tried.
# - **In the simulation** a single word of a short sentence carries the emotion or valence, if any does, and errors fall
#   on any word alike. A recogniser errs on rare words and unclear speech; where there is a row `recognised`, read it
#   first. Its error rate is that of one recogniser on synthetic voices.
# - **On human speech** affect is spread over more words, so the same error rate may cost less, or it is not in the
#   words at all; and emotional speech is harder to recognise. No corpus here can tell.
# - **In practice**, report the word error rate beside the CCC, and train on noisy transcripts only if that pays: the
#   rows `fusion_noisy_text − fusion` of {numref}`transcripts-differences` show it.
#
# On your own corpus: `make study CHAPTER=transcripts PROFILE=msp_podcast DATA=/path/to/release`. For ASR transcripts
# `pip install faster-whisper` first; `params/questions.yaml` names the recogniser. Only the reported split is
# recognised, once. With `corpus: {transcripts: {recogniser: large-v3}}` in a profile, a study trains on them.
