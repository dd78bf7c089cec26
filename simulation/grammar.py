"""Texts of the simulated corpus: a small grammar whose emotional words are partly absent from the training split.

A sentence is a frame with a topic and a describing word. The word tells the emotion, or only how pleasant the matter
is, or nothing. Of every list of words, training sentences use every second one; the other splits use all of them: half
of the words that a system is tested on never occur in training, and only a text encoder that knows English can tell
what they mean. A second set of frames, topics and words serves the pretraining of encoders.
"""

from collections.abc import Sequence

import numpy as np

# Assumptions.
EMOTION_WORD = 0.45  # share of sentences whose word tells the emotion
VALENCE_WORD = 0.35  # share of sentences whose word tells how pleasant the matter is; the rest is uninformative
VALENCE_NOISE = 0.5  # on the valence that such a word tells, in standard deviations of the true valence
VALENCE_EDGES = (-1.2, -0.4, 0.4, 1.2)  # valence, in standard deviations, at which the next of `VALENCE_WORDS` begins

OPENERS = ("", "", "", "Well, ", "You know, ", "I mean, ", "So, ", "Listen, ")

FRAMES = (
    "the {topic} was {word}",
    "that {topic} sounded {word}",
    "I found the {topic} {word}",
    "the {topic} seemed {word} to me",
    "we thought the {topic} was {word}",
    "it was a {word} {topic}",
    "they had a {word} {topic}",
    "this {topic} is {word}",
    "everyone called the {topic} {word}",
    "my {topic} turned out {word}",
)

TOPICS = """meeting interview journey lesson weekend message dinner call neighbour story reply office plan
    report letter visit hotel garden morning decision project speech evening answer conversation teacher doctor
    holiday show episode review game season kitchen apartment manager result question"""

EMOTION_WORDS = {
    "A": """infuriating outrageous maddening enraging aggravating unacceptable hostile furious insulting provoking
    exasperating intolerable unfair angry irritating hateful""",
    "S": """heartbreaking tragic sorrowful mournful depressing tearful gloomy sad bleak miserable hopeless lonely
    grievous melancholy unhappy cheerless""",
    "H": """joyful delightful happy cheerful hilarious blissful merry wonderful thrilling jolly uplifting festive
    amusing heartwarming glorious playful""",
    "U": """astonishing unexpected surprising startling shocking unbelievable sudden incredible stunning unforeseen
    astounding remarkable baffling abrupt curious bewildering""",
    "F": """terrifying scary frightening menacing alarming horrifying threatening chilling dreadful ominous
    spooky nerve-racking petrifying sinister worrying perilous""",
    "D": """disgusting revolting sickening filthy gross repulsive nasty foul vile putrid nauseating rotten
    repugnant slimy stinking loathsome""",
    "C": """pathetic ridiculous worthless laughable stupid contemptible idiotic shameful mediocre clueless
    pitiful amateurish absurd despicable silly inferior""",
    "N": """ordinary normal habitual typical routine standard scheduled regular average everyday plain customary
    official practical formal conventional""",
}

VALENCE_WORDS = (
    "terrible awful horrible appalling abysmal atrocious horrendous ghastly",
    "bad disappointing unpleasant poor boring weak tedious lousy",
    "long short recent early late quiet different brief",
    "nice good pleasant decent lovely agreeable enjoyable fine",
    "fantastic superb excellent magnificent brilliant marvellous perfect outstanding",
)

UNINFORMATIVE_WORDS = """local public second private big small new old modern major daily online weekly final
    common foreign"""

PRETRAINING_FRAMES = (
    "she keeps the {topic} {word} in winter",
    "put a {word} {topic} beside the wall",
    "who left his {word} {topic} outside",
    "could you make their {topic} more {word}",
    "our {word} {topic} crossed the river",
    "nothing here feels as {word} as a {topic}",
    "he drew some {word} {topic} on paper",
    "with every {topic} it gets {word}",
)

PRETRAINING_TOPICS = """basket candle engine feather hammer island jacket kettle ladder mirror needle orange pencil
    quilt ribbon saddle table umbrella valley window yard zebra blanket chimney dragon elephant fountain giraffe
    harbour iron jungle lantern mountain notebook ocean pillow rocket shovel temple village"""

PRETRAINING_WORDS = """round yellow wooden heavy smooth narrow shiny bitter crooked frozen golden hollow hungry juicy
    knotted leather muddy noisy oval purple rusty salty tender velvet warm young zigzag bright clever dusty eager
    fierce gentle patient jealous kind lively proud tired brave anxious grateful sleepy"""


def sentence(generator: np.random.Generator, emotion: str, valence: float, training: bool) -> str:
    """One sentence of the study, of which `generator` draws the frame, the topic and the words.

    The speaker feels `emotion`, a code of `sercore.corpus.PRIMARY_EMOTIONS`; `valence` is in standard deviations from
    the corpus's mean; `training` takes only the half of the words that training knows.
    """
    kind = generator.random()
    heard = valence + VALENCE_NOISE * generator.standard_normal()
    if kind < EMOTION_WORD:
        words = EMOTION_WORDS[emotion]
    elif kind < EMOTION_WORD + VALENCE_WORD:
        words = VALENCE_WORDS[np.searchsorted(VALENCE_EDGES, heard)]
    else:
        words = UNINFORMATIVE_WORDS
    return _fill(generator, FRAMES, TOPICS, words.split()[:: 2 if training else 1])


def pretraining_sentence(generator: np.random.Generator) -> str:
    """One sentence that shares no frame, topic or describing word with the study's."""
    return _fill(generator, PRETRAINING_FRAMES, PRETRAINING_TOPICS, PRETRAINING_WORDS.split())


def _fill(generator: np.random.Generator, frames: Sequence[str], topics: str, words: Sequence[str]) -> str:
    opener, frame, topic, word = (
        items[int(generator.integers(len(items)))] for items in (OPENERS, frames, topics.split(), words)
    )
    text = opener + frame.format(topic=topic, word=word)
    for noun in (word, topic):
        text = text.replace(f" a {noun}", f" an {noun}") if noun[0] in "aeiou" else text
    return text[0].upper() + text[1:] + "."
