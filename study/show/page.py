"""What frames a page: on which speech its figures were measured, and what of the corpus one can hear."""

import base64
from pathlib import Path

from IPython.display import HTML

from sercore.corpus import EMOTIONS
from sercore.params import Params

BANNERS = {
    "simulated": (
        "Simulated speech",
        "All figures of ours here were measured on speech that a synthesiser spoke and that simulated raters judged."
        " This shows that the method runs and what it can resolve; it says nothing about human speech.",
    ),
    "emotale": (
        "Enacted speech",
        "All figures of ours here were measured on EmoTale: real voices, but emotions enacted on five sentences by"
        " few speakers. This does not tell how a system does on spontaneous speech.",
    ),
    "iemocap": (
        "Acted speech",
        "All figures of ours here were measured on IEMOCAP: real voices, but dialogues acted by ten speakers. This does"
        " not tell how a system does on spontaneous speech.",
    ),
    "msp_podcast": (
        "Naturalistic speech",
        "All figures of ours here were measured on a release of MSP-Podcast. This is comparable with the paper only"
        " as far as release, split and encoders are the same.",
    ),
    "manifest": ("Your corpus", "All figures of ours here were measured on the corpus of a manifest."),
}


def banner(params: Params) -> HTML:
    """On what kind of speech a page's figures were measured, as the corpus's reader describes it."""
    kind, description = BANNERS[params.corpus.reader]
    return HTML(f'<div class="admonition warning"><p class="admonition-title">{kind}</p><p>{description}</p></div>')


def players(folder: Path | str) -> HTML:
    """An audio player for each file ``<emotion code>.<mp3 or flac>`` of `folder`, the audio within the page."""
    folder = Path(folder)
    found = {path.stem: path for path in sorted(folder.glob("*")) if path.suffix in (".mp3", ".flac")}
    if not found:
        return HTML(f"<p>This copy of the results has no audio ({folder.name}/ is missing).</p>")
    style = "display:inline-block;width:15rem;max-width:100%;margin:.3rem .8rem .3rem 0"
    figures = []
    for code in [code for code in EMOTIONS if code in found]:
        kind = {".mp3": "mpeg", ".flac": "flac"}[found[code].suffix]
        sound = f"data:audio/{kind};base64,{base64.b64encode(found[code].read_bytes()).decode()}"
        player = (
            f'<audio controls preload="none" style="width:100%" aria-label="{EMOTIONS[code]}" src="{sound}"></audio>'
        )
        figures.append(f'<figure style="{style}"><figcaption>{EMOTIONS[code]}</figcaption>{player}</figure>')
    return HTML(f"<div>{''.join(figures)}</div>")
