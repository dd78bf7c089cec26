"""Train a system, also on several GPUs (`torchrun ... -m sercore train`), predict for files, export a model, compare
predictions, or write the challenge's file."""

import argparse
import sys
from pathlib import Path

from sercore import ATTRIBUTES
from sercore.failures import one_sentence


def main() -> None:
    """Run the command that is given; a wrong input ends with one sentence and exit status 1."""
    given = _parser().parse_args()
    with one_sentence():
        given.command(given)


def _train(given: argparse.Namespace) -> None:
    from sercore import corpora, params, training
    from sercore.model import make_whole

    overrides, state = params.parse_yaml(given.overrides, "--overrides"), training.processes()
    for chosen in params.load_seeds(given.profile, given.variant, given.seeds, overrides):
        corpus = corpora.read(chosen.corpus, chosen.seed)
        state.print(corpus, file=sys.stderr)
        run = training.train(chosen, corpus)
        if given.whole and state.is_main_process and run.folder:
            make_whole(run.folder / "model")
        state.print(run.folder)


def _predict(given: argparse.Namespace) -> None:
    from sercore.corpora.files import listed
    from sercore.disk import complete_file
    from sercore.params import ParamsError
    from sercore.predict import load

    if not given.files:
        if given.text:
            raise ParamsError("--text takes all that follows it, and leaves no file: put the files before it.")
        given.refuse("the following arguments are required: file")
    for path in filter(None, (given.output, given.embeddings)):
        if not path.parent.is_dir():
            raise ParamsError(f"{path}: its folder does not exist: make it, or correct the name.")
        if path.is_dir():
            raise ParamsError(f"{path} is a folder: name a file in it.")
    if given.output and given.output == given.embeddings:
        raise ParamsError(f"--output and --embeddings are both {given.output}: give two names.")
    table, predictor = listed(given.files, given.text), load(given.run)
    unusable = predictor.unusable(table["path"], windows=given.windows)
    good = table[~table["path"].isin(unusable)]
    options = {"windows": given.windows, "embeddings": given.embeddings is not None}
    predicted = predictor(good["path"], good["transcript"], **options)
    text = predicted[[*ATTRIBUTES]].to_csv(float_format="%.6f").encode(errors="surrogateescape")  # names are bytes
    if given.output:
        complete_file(given.output, lambda partial: partial.write_bytes(text))
    else:
        sys.stdout.buffer.write(text)
    if given.embeddings:
        complete_file(given.embeddings, predicted.filter(like="embedding_").to_parquet)
    if unusable:
        sys.exit("\n".join(f"error: {problem}" for problem in unusable.values()))


def _export(given: argparse.Namespace) -> None:
    from sercore.export import export, push

    export(given.run, given.folder, given.push_to or given.folder.resolve().name, onnx=given.onnx)
    print(f"{given.folder}: `AutoModel.from_pretrained` loads it; README.md is its model card")
    if given.push_to:
        print(push(given.folder, given.push_to))


def _submission(given: argparse.Namespace) -> None:
    from sercore import runs, submission

    written = submission.write([runs.read(runs.located(folder)) for folder in given.runs], given.output)
    print(f"{given.output}: {len(written)} utterances, the mean of {len(given.runs)} run(s)")


def _compare(given: argparse.Namespace) -> None:
    from sercore import InputError, compare, report

    systems = dict(each.partition("=")[::2] for each in given.systems)
    if len(systems) < len(given.systems) or not all(systems.values()):
        raise InputError("give each system as NAME=FILE, with a name of its own.")
    options = compare.Options(given.margin, given.scale, given.split, given.unknown, given.utterance, given.speaker)
    scores, differences = compare.compare(systems, given.gold, options)
    tables = [report.printed_scores(scores)]
    tables += [] if differences is None else [report.printed_differences(differences)]
    print(*(table.to_string() for table in tables), compare.paragraph(scores, differences), sep="\n\n")
    if given.output:
        compare.write(scores, differences, given.output)
        print(f"{given.output}: tables (CSV, LaTeX), forest plot (SVG, PNG) and paragraph.txt")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sercore", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    train = commands.add_parser("train", help="train one system, once for each seed, and print the runs' folders")
    train.add_argument("profile", help="a file of params/, without .yaml")
    train.add_argument("variant", help="an entry of params/variants.yaml")
    train.add_argument("seeds", nargs="+", type=int, metavar="seed")
    train.add_argument("--overrides", default="{}", help="YAML, e.g. '{training: {epochs: 5}}'")
    train.add_argument(
        "--whole", action="store_true", help="save a frozen speech encoder, too, which is else loaded by name"
    )
    train.set_defaults(command=_train)

    predict = commands.add_parser("predict", help="print a CSV: utterance, arousal, valence, dominance of each file")
    predict.add_argument("run", type=Path, help="a run's folder, an exported one, or its name on the hub")
    kinds = "audio in any format of libsndfile, a folder of it, or a CSV with a column path and perhaps transcript"
    predict.add_argument("files", nargs="*", type=Path, metavar="file", help=kinds)
    predict.add_argument("--text", nargs="+", help="the transcript of each file, in the same order; '' where unknown")
    predict.add_argument("--windows", action="store_true", help="predict long files by the mean over all their parts")
    predict.add_argument("--output", type=Path, help="the CSV to write, instead of printing it")
    predict.add_argument("--embeddings", type=Path, help="Parquet file to write: a pooled vector of each file's speech")
    predict.set_defaults(command=_predict, refuse=predict.error)

    export = commands.add_parser("export", help="write a folder that transformers loads anywhere, with a model card")
    export.add_argument("run", type=Path, help="a run's folder, with its model")
    export.add_argument("folder", type=Path, help="the folder to make")
    export.add_argument("--onnx", action="store_true", help="also write model.onnx, for onnxruntime")
    export.add_argument("--push-to", metavar="USER/NAME", help="also upload it to the hub, as this model")
    export.set_defaults(command=_export)

    compare = commands.add_parser("compare", help="CCC, differences and verdicts from files of predictions")
    pattern = "or a pattern, 'NAME=run-*.csv', of its seeds; each is compared with the last"
    compare.add_argument("systems", nargs="+", metavar="NAME=FILE", help=pattern)
    compare.add_argument("--gold", type=Path, help="file with gold values and speakers, where the systems' have none")
    compare.add_argument("--margin", type=float, default=0.02, help="the largest difference that does not matter")
    compare.add_argument("--output", type=Path, help="folder for tables, figure and paragraph")
    compare.add_argument("--scale", nargs=2, type=float, metavar=("LOW", "HIGH"), help="of the gold values")
    compare.add_argument("--split", help="of the gold file, where it has several")
    unknown = "unknown speakers: one a show, or each alone"
    compare.add_argument("--unknown", choices=("show", "alone"), default="show", help=unknown)
    compare.add_argument("--id", dest="utterance", help="column that names utterances")
    compare.add_argument("--speaker", help="column that names speakers")
    compare.set_defaults(command=_compare)

    submission = commands.add_parser("submission", help="write the challenge's file: the mean of the runs for Test3")
    submission.add_argument("runs", nargs="+", type=Path, metavar="run", help="a run's folder")
    submission.add_argument("--output", required=True, type=Path, help="the CSV to write")
    submission.set_defaults(command=_submission)
    return parser


if __name__ == "__main__":
    main()
