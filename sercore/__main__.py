"""``python -m sercore``: one run from the command line, for several GPUs (``torchrun ... -m sercore``) and clusters."""

import argparse

import yaml
from accelerate import PartialState

from sercore import corpora, params
from sercore.training import train

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m sercore", description="Train one system and leave its run folder.")
    parser.add_argument("profile", help="a file of params/, without .yaml")
    parser.add_argument("variant", help="an entry of params/variants.yaml")
    parser.add_argument("seed", type=int)
    parser.add_argument("--overrides", type=yaml.safe_load, default={}, help="YAML, e.g. '{training: {epochs: 5}}'")
    given = parser.parse_args()
    chosen = params.load(given.profile, given.variant, given.seed, given.overrides)
    run = train(chosen, corpora.read(chosen.corpus, chosen.seed))
    PartialState().print(run.folder)
