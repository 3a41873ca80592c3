"""Scores that the models' vendors have published, with the texts they are of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from transforms.base.errors import UserError


@dataclass(frozen=True)
class Published:
    """Some scores from one source.

    Attributes:
        model: its name in the catalogue.
        source: where they are published.
        pairs: query, document and score.
        tolerance: difference to them that the arithmetic accounts for.
        options: of the model's settings, where they are not the vendor's usual ones.
    """

    model: str
    source: str
    pairs: tuple[tuple[str, str, float], ...]
    tolerance: float
    options: Mapping[str, Any] = field(default_factory=dict)


SKINCARE = "Organic skincare products for sensitive skin"
PANDA = (
    "The giant panda (Ailuropoda melanoleuca), sometimes called a panda bear or simply panda, is a bear species "
    "endemic to China."
)
READER_LM = (
    "We present ReaderLM-v2, a compact 1.5 billion parameter language model designed for efficient web content "
    "extraction. Our model processes documents up to 512K tokens, transforming messy HTML into clean Markdown or "
    "JSON formats with high accuracy -- making it an ideal tool for grounding large language models. The models "
    "effectiveness results from two key innovations: (1) a three-stage data synthesis pipeline that generates "
    "high quality, diverse training data by iteratively drafting, refining, and critiquing web content "
    "extraction; and (2) a unified training framework combining continuous pre-training with multi-objective "
    "optimization. Intensive evaluation demonstrates that ReaderLM-v2 outperforms GPT-4o-2024-08-06 and other "
    "larger models by 15-20% on carefully curated benchmarks, particularly excelling at documents exceeding 100K "
    "tokens, while maintaining significantly lower computational requirements."
)
GOLD_RUSH = (
    "During the California Gold Rush, some merchants made more money selling supplies to miners than the miners made "
    "finding gold."
)
READER_LM_GERMAN = (
    "Die wichtigsten Beiträge unserer Arbeit sind zweifach: Erstens führen wir eine neuartige dreistufige "
    "Datensynthese-Pipeline namens Draft-Refine-Critique ein, die durch iterative Verfeinerung hochwertige "
    "Trainingsdaten generiert; und zweitens schlagen wir eine umfassende Trainingsstrategie vor, die kontinuierliches "
    "Vortraining zur Längenerweiterung, überwachtes Feintuning mit spezialisierten Kontrollpunkten, direkte "
    "Präferenzoptimierung (DPO) und iteratives Self-Play-Tuning kombiniert. Um die weitere Forschung und Anwendung der "
    "strukturierten Inhaltsextraktion zu erleichtern, ist das Modell auf Hugging Face öffentlich verfügbar."
)

# The vendors computed in bfloat16 or float16 (the scores are logits of such a grid, or their sigmoid), which explains
# hundredths; a wrong prompt, cut or head costs tenths.
PUBLISHED = (
    Published(
        model="small-cross-encoder",
        source="its README, in float32",
        pairs=(
            ("what is the capital of France?", "Paris is the capital of France.", 8.73695),
            ("what is the capital of France?", "Berlin is the capital of Germany.", 0.85471),
            (
                "what is the capital of France?",
                "Bananas are rich in potassium and grow in tropical climates.",
                -11.45503,
            ),
        ),
        tolerance=1e-4,
    ),
    Published(
        model="jinaai/jina-reranker-v2-base-multilingual",
        source="its model card, compute_score() with max_length 1024",
        pairs=(
            (SKINCARE, "Organic skincare for sensitive skin with aloe vera and chamomile.", 0.8311430811882019),
            (SKINCARE, "New makeup trends focus on bold colors and innovative techniques", 0.09401018172502518),
            (SKINCARE, "Bio-Hautpflege für empfindliche Haut mit Aloe Vera und Kamille", 0.6334102749824524),
            (SKINCARE, "Neue Make-up-Trends setzen auf kräftige Farben und innovative Techniken", 0.08269733935594559),
            (SKINCARE, "Cuidado de la piel orgánico para piel sensible con aloe vera y manzanilla", 0.7620701193809509),
            (
                SKINCARE,
                "Las nuevas tendencias de maquillaje se centran en colores vivos y técnicas innovadoras",
                0.09947021305561066,
            ),
            (SKINCARE, "针对敏感肌专门设计的天然有机护肤产品", 0.9263036847114563),
            (SKINCARE, "新的化妆趋势注重鲜艳的颜色和创新的技巧", 0.05834583938121796),
            (SKINCARE, "敏感肌のために特別に設計された天然有機スキンケア製品", 0.8418256044387817),
            (SKINCARE, "新しいメイクのトレンドは鮮やかな色と革新的な技術に焦点を当てています", 0.11124119907617569),
        ),
        tolerance=0.02,
        options={"long_documents": "truncate", "max_length": 1024},
    ),
    Published(
        model="BAAI/bge-reranker-v2-m3",
        source="its model card, FlagReranker.compute_score() in float16",
        pairs=(
            ("query", "passage", -5.65234375),
            ("what is panda?", "hi", -8.1875),
            ("what is panda?", PANDA, 5.26171875),
        ),
        tolerance=0.05,
    ),
    Published(
        model="jinaai/jina-reranker-m0",
        source="its model card, compute_score() of texts with max_length 1024",
        pairs=(
            ("slm markdown", READER_LM, 0.6839263439178467),
            ("slm markdown", "数据提取么？为什么不用正则啊，你用正则不就全解决了么？", 0.4432148039340973),  # noqa: RUF001
            ("slm markdown", GOLD_RUSH, 0.5904013514518738),
            ("slm markdown", READER_LM_GERMAN, 0.45481112599372864),
        ),
        tolerance=0.02,
        options={"max_length": 1024},
    ),
)


def published_of(model: str, option: str) -> list[Published]:
    """What is published of a model of the catalogue, which an option names.

    Raises:
        UserError: nothing.
    """
    entries = [published for published in PUBLISHED if published.model == model]
    if not entries:
        known = ", ".join(dict.fromkeys(published.model for published in PUBLISHED))
        raise UserError(f"{option}: no published scores of {model or 'this model'} are known, only of {known}")
    return entries
