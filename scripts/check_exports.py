"""Read exports with the libraries that they are for: mteb, rank_llm, FlagEmbedding, Tevatron.

    python scripts/check_exports.py [--environment FOLDER]

Makes an environment that also sees the packages of this one, installs the libraries into it with pip, and runs
tests/eval/export/test_libraries.py there. rank_llm asks for vllm, which the reading of a request does not need, and
Tevatron's newer versions are not on PyPI, so both come without what they ask for.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
ALONE = ("mteb==2.26.24", "rank_llm==0.25.7", "FlagEmbedding==1.4.2", "tevatron==0.1.0")
NEEDED = ("polars", "scikit-learn", "dacite", "ftfy", "faiss-cpu", "peft", "accelerate", "sentencepiece", "ir-datasets")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environment", metavar="FOLDER", type=Path, help="keep it there, and use what is there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        python = environment(arguments.environment or Path(folder) / "environment")
        test = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rs", "tests/eval/export/test_libraries.py"]
        return subprocess.run(test, cwd=REPOSITORY).returncode


def environment(folder: Path) -> str:
    """The Python of an environment with the libraries."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        site = subprocess.check_output(
            [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
        )
        (Path(site.strip()) / "this_project.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
        install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*install, "--no-deps", *ALONE], check=True)
        subprocess.run([*install, *NEEDED], check=True)
    return str(python)


if __name__ == "__main__":
    sys.exit(main())
