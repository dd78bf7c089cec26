"""The parameters of one run: profile, variant and overrides, merged and validated as `sercore.sections` describes."""

import json
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import cache, lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError, create_model

from sercore import InputError
from sercore.sections import CorpusParams, Params

READERS = ("emotale", "iemocap", "manifest", "msp_podcast")  # those of sercore.corpora
ENCODERS = ("wavlm", "whisper", "text", "speaker")  # of a profile: folders in the hub's format, or names on the hub


class ParamsError(InputError):
    """A parameter, profile or variant that is not known or not valid; the message lists the valid ones."""


def project_root() -> Path:
    """The folder that holds ``params/variants.yaml``: the working directory or the nearest one above it."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "params" / "variants.yaml").is_file():
            return folder
    raise ParamsError(f"no params/variants.yaml in {here} or above it: work inside a clone of the study.")


def resolve(path: Path) -> Path:
    """`path` itself if it is absolute; a relative one is relative to the project's root."""
    return path if path.is_absolute() else project_root() / path


def read_profile(name: str) -> dict[str, Any]:
    """The content of ``params/<name>.yaml``; `ParamsError` lists the profiles if it is none."""
    folder = project_root() / "params"
    known = sorted({path.stem for path in folder.glob("*.yaml")} - {"variants", "questions"})
    if name not in known:
        raise ParamsError(f"unknown profile {name!r}; params/ has {', '.join(known)}.")
    return read_yaml(folder / f"{name}.yaml")


def variants() -> dict[str, dict[str, Any]]:
    """Entries of ``params/variants.yaml``: name -> difference from the profile, ``paper`` (its row) and ``label``."""
    return read_yaml(project_root() / "params" / "variants.yaml")


def load(profile: str, variant: str, seed: int, overrides: Mapping[str, Any] | None = None) -> Params:
    """Merge profile (the scale), variant (what is ablated) and overrides, in this order, and validate the result.

    A profile names its encoders under ``encoders``, so that a variant can ask for ``whisper`` at any scale.
    `ParamsError` names what is unknown, and what is known, or an invalid value.
    """
    known, overrides = variants(), overrides or {}
    if not isinstance(overrides, Mapping):
        form = "-y 'overrides: {training: {epochs: 2}}'"
        raise ParamsError(f"overrides is {overrides!r}, not a mapping; papermill takes one as {form}.")
    if reserved := {"profile", "variant", "seed"} & overrides.keys():
        raise ParamsError(f"overrides may not set {', '.join(sorted(reserved))}: these have parameters of their own.")
    merged = read_profile(profile)
    if variant not in list(known):
        raise ParamsError(f"unknown variant {variant!r}; params/variants.yaml has {', '.join(known)}.")
    if not isinstance(entry := known[variant], Mapping):
        raise ParamsError(f"params/variants.yaml: {variant} is {entry!r}, not a mapping; {{}} changes nothing.")
    changes = {key: value for key, value in entry.items() if key not in ("paper", "label")}
    merged = merge(merge(merged, changes), overrides)
    encoders = merged.pop("encoders", {})
    if not isinstance(encoders, Mapping) or set(encoders) - set(ENCODERS):
        raise ParamsError(f"encoders of profile {profile!r} is {encoders!r}; it maps {', '.join(ENCODERS)} to models.")
    for section in ("speech", "text", "speaker"):
        if isinstance(given := merged.get(section), Mapping):
            name = given.get("encoder")
            if name in ENCODERS and name not in encoders:
                raise ParamsError(f"profile {profile!r} has no encoder {name!r}: add it under encoders in its file.")
            merged[section] = {**given, "encoder": encoders.get(name, name)}
    return validate(merged | {"profile": profile, "variant": variant, "seed": seed})


def load_seeds(
    profile: str, variant: str, seeds: Sequence[int], overrides: Mapping[str, Any] | None = None
) -> list[Params]:
    """`load` for each of `seeds`; `ParamsError` as there, or where `seeds` is no list of different integers."""
    if not isinstance(seeds, list | tuple) or not seeds or len({*map(str, seeds)}) < len(seeds):
        form = "-y 'seeds: [0, 1]'"
        raise ParamsError(f"seeds is {seeds!r}, not a list of different integers; papermill takes one as {form}.")
    return [load(profile, variant, seed, overrides) for seed in seeds]


def reader(name: Any) -> ModuleType:
    """The module that reads a corpus, of `sercore.corpora` or by its dotted name; `ParamsError` if there is none."""
    given = f"parameter 'corpus.reader' is {name!r}"
    valid = f"valid are {', '.join(READERS)}, or the dotted name of a module, such as my_lab.corpus"
    if not isinstance(name, str):
        raise ParamsError(f"{given}; {valid}.")
    try:
        module = import_module(name if "." in name else f"sercore.corpora.{name}")
    except (ImportError, TypeError, ValueError) as error:  # the latter two of a relative name
        raise ParamsError(f"{given}, which cannot be imported ({error}); {valid}.") from None
    missing = [one for one in ("Params", "read", "KIND", "DESCRIPTION") if not hasattr(module, one)]
    if missing:
        raise ParamsError(f"{given}, a module without {', '.join(missing)}: add them.")
    return module


@cache
def _with_corpus_of(section: type[CorpusParams]) -> type[Params]:
    """`Params` whose corpus section is a reader's own."""
    return create_model("Params", __base__=Params, corpus=(section, ...))


def validate(values: Mapping[str, Any]) -> Params:
    """`Params` from plain values, none of which is taken for another type; `ParamsError` names each wrong key."""
    corpus = values.get("corpus")
    section = reader(corpus.get("reader")).Params if isinstance(corpus, Mapping) else CorpusParams
    model = _with_corpus_of(section)
    try:
        return model.model_validate_json(json.dumps(values, default=str), strict=True)
    except ValidationError as error:
        raise ParamsError("; ".join(_explain(item, model) for item in error.errors()) + ".") from None


def with_corpus(params: Params, corpus: Mapping[str, Any]) -> Params:
    """`params` with `corpus` merged over the corpus section, see `merge`; `ParamsError` for a wrong key or value."""
    return validate(merge(params.model_dump(mode="json"), {"corpus": corpus}))


def dump(params: Params) -> str:
    """`params` as the YAML text of a run's ``params.yaml``."""
    return yaml.safe_dump(params.model_dump(mode="json"), sort_keys=False)


class _StrictLoader(yaml.SafeLoader):
    """YAML in which no key is lost, ``1e-3`` is a number, and ``010`` and ``1:30`` are not 8 and 90."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        names = [key.value for key, _ in node.value]
        for place, (key, _) in enumerate(node.value):
            if key.value in names[:place]:
                raise yaml.MarkedYAMLError(problem=f"key {key.value!r} is given twice", problem_mark=key.start_mark)
        return super().construct_mapping(node, deep)


_StrictLoader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?\d+[eE][-+]?\d+$"), [*"-+0123456789"])
for _first in "-+0123456789":
    _text = ("tag:yaml.org,2002:str", re.compile(r"[-+]?(0\d|.*:)"))
    _StrictLoader.yaml_implicit_resolvers[_first].insert(0, _text)


@lru_cache
def _parsed(text: str, loader: type) -> Any:
    return yaml.load(text, loader)


def parse_yaml(text: str, source: Path | str, loader: type = _StrictLoader) -> Any:
    """The content of YAML, a copy each time; `ParamsError`, which names the `source`, if it is not valid."""
    try:
        return deepcopy(_parsed(text, loader))
    except yaml.YAMLError as error:
        problem, mark = getattr(error, "problem", None) or error, getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ParamsError(f"{source} is not valid YAML: {' '.join(str(problem).split())}{where}.") from None


def read_yaml(path: Path, loader: type = _StrictLoader) -> dict[str, Any]:
    """A YAML file as a mapping; `ParamsError` as for `parse_yaml`, or if it cannot be read or is no mapping."""
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"), path, loader)
    except (OSError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path} cannot be read: {error}.") from None
    if not isinstance(content, dict):
        raise ParamsError(f"{path} holds no mapping of keys to values.")
    return content


def merge(base: Mapping[str, Any], difference: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `difference`, section by section.

    Another reader's corpus replaces the whole one but for ``transcripts``, which are no reader's own.
    """
    merged = dict(base)
    for key, value in difference.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            if value.get("reader", old.get("reader")) != old.get("reader"):
                old = {name: old[name] for name in old if name == "transcripts"}
            value = merge(old, value)
        merged[key] = value
    return merged


def _explain(error: Mapping[str, Any], model: type[BaseModel]) -> str:
    name, given = ".".join(map(str, error["loc"])), error["input"]
    match error["type"]:
        case "extra_forbidden":
            for key in error["loc"][:-1]:
                annotation: Any = model.model_fields[key].annotation
                model = (*get_args(annotation), annotation)[0]  # of a section that may also be None
            return f"unknown parameter {name!r}; valid are {', '.join(model.model_fields)}"
        case "missing":
            return f"parameter {name!r} is missing"
        case "model_type" | "model_attributes_type":
            return f"parameter {name!r} is {given!r}, not a mapping of keys to values"
    return f"parameter {name!r} is {given!r}: {error['msg'].lower().removeprefix('value error, ')}"
