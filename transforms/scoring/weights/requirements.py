"""Keys of a checkpoint's files that would change its scores and are not followed here: what they must say instead.

Each rule was found by changing one key and comparing with transformers 5.23 or sentence-transformers 6.2, which follow
it. A key that is followed here has no rule, nor has one that changes nothing there.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from transforms.base.errors import UserError
from transforms.scoring.weights.checkpoints import Checkpoint, read_json

Part = Literal["two-sided backbone", "prompt", "encoder's files", "classifier's files"]


class Rule(NamedTuple):
    """What a key must say.

    Attributes:
        part: of which models.
        file: name of the file in the checkpoint's directory.
        key: the key in it; a dot leads into an object.
        allowed: its values that are followed here; a key that is absent is followed always.
        effect: what another value would change.
    """

    part: Part
    file: str
    key: str
    allowed: tuple[Any, ...]
    effect: str


TRANSFORMER = "sentence_bert_config.json"  # of sentence-transformers; it has other names too, see `check`
OUTPUT = "modality_config.text.method_output_name"
PARTS_OF_SENTENCE_TRANSFORMERS: tuple[Part, Part] = ("encoder's files", "classifier's files")
RULES = (
    Rule("prompt", "tokenizer_config.json", "truncation_side", (None, "right"), "long texts lose their beginning"),
    Rule("prompt", "tokenizer.json", "truncation.direction", (None, "Right"), "long texts lose their beginning"),
    # Places are counted from the sequence's begin, which padding on the left shifts, by as much as its batch has.
    Rule("two-sided backbone", "tokenizer_config.json", "padding_side", (None, "right"), "padding shifts positions"),
    Rule("two-sided backbone", "tokenizer.json", "padding.direction", (None, "Right"), "padding shifts positions"),
    Rule("two-sided backbone", "config.json", "is_causal", (None, False), "tokens attend to earlier ones only"),
    Rule("two-sided backbone", "config.json", "is_decoder", (None, False), "tokens attend to earlier ones only"),
    Rule("encoder's files", TRANSFORMER, "transformer_task", (None, "feature-extraction"), "another head is used"),
    Rule(
        "classifier's files", TRANSFORMER, "transformer_task", (None, "sequence-classification"), "another head is used"
    ),
    Rule("encoder's files", TRANSFORMER, OUTPUT, (None, "last_hidden_state"), "another output is pooled"),
    Rule("classifier's files", TRANSFORMER, OUTPUT, (None, "logits"), "another output is the score"),
    *(
        Rule(part, TRANSFORMER, key, allowed, effect)
        for part in PARTS_OF_SENTENCE_TRANSFORMERS
        for key, allowed, effect in (
            ("do_lower_case", (None, False), "texts are read in lower case"),
            ("processing_kwargs", (None, {}), "texts are tokenised otherwise"),
            ("query_expansion", (None,), "queries are filled up"),
            ("query_length", (None,), "queries are cut elsewhere"),
            ("document_length", (None,), "documents are cut elsewhere"),
            ("tokenizer_args", (None, {}), "texts are tokenised otherwise"),
            ("modality_config.text.method", (None, "forward"), "the model is called otherwise"),
            ("modality_config.message", (None,), "texts are put into a chat's template"),
            ("processor_kwargs", (None, {}), "texts are tokenised otherwise"),
            ("config_args", (None, {}), "config.json is changed"),
            ("config_kwargs", (None, {}), "config.json is changed"),
        )
    ),
)


def check(checkpoint: Checkpoint, *parts: Part, transformer: str = TRANSFORMER) -> None:
    """Compare a checkpoint's files with the rules for parts of it.

    Args:
        checkpoint: the model's files.
        parts: whose rules.
        transformer: the file that the checkpoint has in TRANSFORMER's place.

    Raises:
        UserError: a file asks for what is not done here, or a LoRA adapter lies beside the weights.
    """
    if (checkpoint.directory / "adapter_config.json").is_file():
        raise UserError(
            f"model {checkpoint.name}: adapter_config.json: an adapter beside the weights is not applied here; merge "
            "it into the weights (peft's merge_and_unload), or remove the file to score without it"
        )
    for rule in RULES:
        if rule.part in parts:
            file = transformer if rule.file == TRANSFORMER else rule.file
            value: Any = read_json(checkpoint, file)
            for key in rule.key.split("."):
                value = value.get(key) if isinstance(value, dict) else None
            if value not in rule.allowed:
                raise UserError(
                    f"model {checkpoint.name}: {file} says {rule.key} {value!r} ({rule.effect}), which is not "
                    "supported; give another checkpoint"
                )
