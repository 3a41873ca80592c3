"""Scores of the vendors' golden cases by other libraries, each in an environment of its own, and by this project.

    python scripts/measure/peers.py MODELS [--environments FOLDER] [--only TEXT]

MODELS holds golden/ with checkpoints of random weights and their vendors' scores, and assemble.py, which makes them
loadable. The environments are made with pip, once where FOLDER is given; they take 2 GB each and some minutes. For each
library and checkpoint: how many pairs were scored, in which cases a score differs from the vendor's by more than the
tolerance, the largest difference, and which cases (how many) the library raised an error for.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from safetensors.torch import load_file, save_file

REPOSITORY = Path(__file__).resolve().parents[2]
TRANSFORMERS = ("transformers==5.23.0", "tokenizers==0.23.3")
TRANSFORMERS_4 = ("transformers==4.51.3",)

CROSS_ENCODER = """
from sentence_transformers import CrossEncoder
activation = torch.nn.Sigmoid() if probability else torch.nn.Identity()
model = CrossEncoder(path, device="cpu", local_files_only=True, model_kwargs={dtype: torch.float32})
score = lambda query, documents: model.predict([(query, text) for text in documents], activation_fn=activation).tolist()
"""
FLAG = """
from FlagEmbedding import FlagReranker
model = FlagReranker(path, use_fp16=False, devices=["cpu"])
def score(query, documents):
    scores = model.compute_score([(query, text) for text in documents])
    return scores if isinstance(scores, list) else [scores]
"""
MXBAI = """
from mxbai_rerank import MxbaiRerankV2
model = MxbaiRerankV2(path, device="cpu", torch_dtype=torch.float32)
score = lambda query, documents: model.predict([query] * len(documents), documents).tolist()
"""
RERANKERS = """
from rerankers import Reranker
kind = "mxbaiv2" if "mxbai" in path else "cross-encoder"
model = Reranker(path, model_type=kind, device="cpu", dtype=torch.float32, verbose=0)
def score(query, documents):
    found = {result.doc_id: result.score for result in model.rank(query, documents, doc_ids=range(len(documents)))}
    return [found[place] for place in range(len(documents))]
"""
RERANKERS_ALONE = """
from rerankers import Reranker
model = Reranker(path, model_type="cross-encoder", device="cpu", dtype=torch.float32, verbose=0)
score = lambda query, documents: [model.score(query, text).tolist()[1] for text in documents]
"""
HERE = """
from transforms.scoring import Reranker
activation = "sigmoid" if probability else "none"
long = {"long_documents": "truncate"} if "jina" in path else {}  # windows by default, in other cases of the vendor's
model = Reranker.load(path, like=like, device="cpu", dtype="float32", activation=activation, **long)
score = model.score
"""

# What runs in a library's environment: cases come in, scores or errors go out.
FRAME = """
import json, sys, warnings
import torch, transformers
warnings.simplefilter("ignore")
path, like, probability = json.loads(sys.argv[1])
dtype = "dtype" if transformers.__version__ >= "5" else "torch_dtype"
answers = []
{snippet}
for case in json.load(sys.stdin):
    try:
        answers.append(score(case["query"], case["documents"]))
    except Exception as error:
        answers.append(f"{{type(error).__name__}}: {{error}}")
print(json.dumps(answers))
"""


class Peer(NamedTuple):
    """A library at fixed versions.

    Attributes:
        name: for the table.
        pins: what pip installs beside torch; nothing for this project's own environment.
        snippet: code that defines `score(query, documents)` of a checkpoint.
        checkpoints: names in CHECKPOINTS.
    """

    name: str
    pins: tuple[str, ...]
    snippet: str
    checkpoints: tuple[str, ...]


QWEN3 = ("qwen3", "qwen3-template", "qwen3-template-newline")
PEERS = (
    Peer("offline-rerank", (), HERE, ("bge", "bge-xlm", "jina-v2", "qwen3", "mxbai")),
    Peer(
        "CrossEncoder",
        ("sentence-transformers==6.2.0", *TRANSFORMERS),
        CROSS_ENCODER,
        ("bge", "bge-xlm", "jina-v2", *QWEN3, "mxbai"),
    ),
    Peer(
        "CrossEncoder",
        ("sentence-transformers==5.1.2", "transformers==4.57.6"),
        CROSS_ENCODER,
        ("bge", "bge-xlm", "qwen3-template-newline", "mxbai"),
    ),
    Peer("FlagReranker", ("FlagEmbedding==1.4.2", *TRANSFORMERS), FLAG, ("bge", "jina-v2")),
    Peer("FlagReranker", ("FlagEmbedding==1.3.5", *TRANSFORMERS), FLAG, ("bge",)),
    Peer("FlagReranker", ("FlagEmbedding==1.3.5", *TRANSFORMERS_4), FLAG, ("bge",)),
    Peer("MxbaiRerankV2", ("mxbai-rerank==0.1.6", *TRANSFORMERS), MXBAI, ("mxbai",)),
    Peer("MxbaiRerankV2", ("mxbai-rerank==0.1.6", *TRANSFORMERS_4), MXBAI, ("mxbai",)),
    *(
        Peer(f"rerankers, {call}", ("rerankers==0.10.0", *version, "accelerate==1.15.0", "sentencepiece"), snippet, on)
        for version in (TRANSFORMERS, TRANSFORMERS_4)
        for call, snippet, on in (
            ("rank()", RERANKERS, ("bge", "bge-xlm", "mxbai")),
            ("score()", RERANKERS_ALONE, ("bge",)),
        )
    ),
)


def nothing(folder: Path) -> None:
    """The checkpoint as it is."""


def as_xlm_roberta_base(folder: Path) -> None:
    """XLM-R's own 514 places, and no limit in tokenizer_config.json, as many fine-tuned checkpoints have it."""
    config, described = folder / "config.json", json.loads((folder / "config.json").read_text())
    config.write_text(json.dumps(described | {"max_position_embeddings": 514}))
    tokenizer = folder / "tokenizer_config.json"
    settings = {key: value for key, value in json.loads(tokenizer.read_text()).items() if key != "model_max_length"}
    tokenizer.write_text(json.dumps(settings))
    tensors = load_file(folder / "model.safetensors")
    key = "roberta.embeddings.position_embeddings.weight"
    save_file(tensors | {key: tensors[key][:514].clone()}, folder / "model.safetensors", metadata={"format": "pt"})


def with_template(ending: str) -> Callable[[Path], None]:
    """A chat_template.jinja with Qwen3-Reranker's prompt, which ends so."""
    role = "{{{{ messages | selectattr('role', 'eq', '{}') | map(attribute='content') | first }}}}"
    text = (
        "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
        'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
        "<Instruct>: Given a web search query, retrieve relevant passages that answer the query\n"
        f"<Query>: {role.format('query')}\n<Document>: {role.format('document')}<|im_end|>\n"
        f"<|im_start|>assistant\n<think>\n\n</think>{ending}"
    )

    def write(folder: Path) -> None:
        path = folder / "tokenizer_config.json"
        settings = {key: value for key, value in json.loads(path.read_text()).items() if key != "chat_template"}
        path.write_text(json.dumps(settings))
        (folder / "chat_template.jinja").write_text(text)

    return write


class Golden(NamedTuple):
    """A checkpoint with the vendor's scores.

    Attributes:
        family: its folder in golden/.
        like: its name in the catalogue.
        options: of the cases that are compared.
        tolerance: of a score.
        probability: whether the vendor's scores are sigmoids.
        change: of the checkpoint's files.
    """

    family: str
    like: str
    options: Mapping[str, Any]
    tolerance: float
    probability: bool = False
    change: Callable[[Path], None] = nothing


_BGE = Golden("bge-reranker-v2-m3", "BAAI/bge-reranker-v2-m3", {}, 1e-4)
_QWEN3 = Golden("qwen3-reranker", "Qwen/Qwen3-Reranker-0.6B", {"variant": "readme"}, 2e-5, probability=True)
_JINA = "jinaai/jina-reranker-v2-base-multilingual"
CHECKPOINTS = {
    "bge": _BGE,
    "bge-xlm": _BGE._replace(change=as_xlm_roberta_base),
    "jina-v2": Golden("jina-reranker-v2", _JINA, {"method": "compute_score"}, 2e-5, probability=True),
    "qwen3": _QWEN3,
    "qwen3-template": _QWEN3._replace(change=with_template("\n\n")),
    "qwen3-template-newline": _QWEN3._replace(change=with_template("{{ '\\n\\n' }}")),
    "mxbai": Golden("mxbai-rerank-base-v2", "mixedbread-ai/mxbai-rerank-base-v2", {"method": "predict"}, 1e-4),
}


def environment(peer: Peer, folder: Path) -> Path:
    """The Python of a library's environment, which is made where it is missing."""
    if not peer.pins:
        return Path(sys.executable)
    place = folder / "-".join(peer.pins).replace("==", "-")
    python = place / "bin" / "python"
    if not (place / "made").exists():
        constraints = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
        [torch] = (line for line in constraints if line.startswith("torch=="))
        venv.create(place, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", torch, *peer.pins], check=True)
        (place / "made").touch()
    return python


def checkpoint(models: Path, name: str, folder: Path) -> Path:
    """The loadable directory of a golden checkpoint."""
    golden = CHECKPOINTS[name]
    assemble = [sys.executable, str(models / "golden" / "assemble.py"), str(folder / name), golden.family]
    subprocess.run(assemble, check=True, capture_output=True)
    place = folder / name / golden.family
    for path in place.iterdir():
        path.chmod(0o644)
    golden.change(place)
    return place


def cases(models: Path, golden: Golden, peer: Peer) -> list[dict[str, Any]]:
    """The cases whose options every library has, with the scores of the tokenizer's form in its transformers."""
    stored = json.loads((models / "golden" / golden.family / "cases.json").read_text(encoding="utf-8"))
    if not any(pin.startswith("transformers==4") for pin in peer.pins):
        stored = [case | case.get("whitespace_split_variant", {}) for case in stored]
    same = [case for case in stored if {**case["options"], "batch_size": 0} == {**golden.options, "batch_size": 0}]
    return [case for case in same if case["scores"] and "pairs" not in case]


def short(error: str) -> str:
    """The first words of an error, without folders."""
    return re.sub(r"\s*\(.*|/\S*/", "", error.partition("\n")[0])[:110]


def row(peer: Peer, name: str, models: Path, place: Path, python: Path) -> str:
    """A line of the table: what a library makes of a checkpoint."""
    golden = CHECKPOINTS[name]
    inputs = cases(models, golden, peer)
    settings = json.dumps([str(place), golden.like, golden.probability])
    here = {
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONPATH": "" if peer.pins else str(REPOSITORY),
    }
    done = subprocess.run(
        [python, "-c", FRAME.format(snippet=peer.snippet), settings],
        input=json.dumps(inputs),
        env=os.environ | here,
        capture_output=True,
        text=True,
        timeout=1200,
    )
    first = (" ".join(peer.pins[:2]), name)
    if done.returncode:
        return " | ".join(
            (peer.name, *first, "0", "", "", f"does not load: {short(done.stderr.strip().splitlines()[-1])}")
        )
    answers = dict(zip((case["name"] for case in inputs), json.loads(done.stdout.splitlines()[-1]), strict=True))
    errors = sorted({short(answer) for answer in answers.values() if isinstance(answer, str)})
    differences = {
        case["name"]: max(abs(a - b) for a, b in zip(answers[case["name"]], case["scores"], strict=True))
        for case in inputs
        if not isinstance(answers[case["name"]], str)
    }
    pairs = sum(len(case["documents"]) for case in inputs if case["name"] in differences)
    wrong = [case for case, difference in differences.items() if not difference <= golden.tolerance]
    failed = f"{len(inputs) - len(differences)} cases raise {'; '.join(errors)}" if errors else ""
    largest = f"{max(differences.values()):.2g}" if differences else ""
    named = f": {', '.join(wrong)}" if 0 < len(wrong) <= 5 else ""
    of = f"{len(wrong)} of {len(differences)}{named}" if differences else ""
    return " | ".join((peer.name, *first, str(pairs), of, largest, failed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path)
    parser.add_argument("--environments", type=Path, help="folder to keep the libraries' environments in")
    parser.add_argument("--only", default="", help="libraries whose name and versions contain this text")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.environments or Path(temporary, "environments")
        chosen = [peer for peer in PEERS if arguments.only in f"{peer.name} {' '.join(peer.pins)}"]
        places = {
            name: checkpoint(arguments.models, name, Path(temporary))
            for name in dict.fromkeys(name for peer in chosen for name in peer.checkpoints)
        }
        print("| library | versions | checkpoint | pairs scored | cases that differ | largest difference | errors |")
        print("|---|---|---|---|---|---|---|")
        for peer in chosen:
            python = environment(peer, folder)
            for name in peer.checkpoints:
                print("|", row(peer, name, arguments.models, places[name], python), "|", flush=True)


if __name__ == "__main__":
    main()
