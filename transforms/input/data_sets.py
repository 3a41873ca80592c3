"""What --dataset names."""

from __future__ import annotations

from typing import NamedTuple

from transforms.base import files
from transforms.base.errors import UserError

_HUB = "hf:"
# What `Dataset.save_to_disk` and `DatasetDict.save_to_disk` leave, which `load_dataset` does not read.
SAVED = ("state.json", "dataset_dict.json")


class DataSetReference(NamedTuple):
    """What --dataset names.

    Attributes:
        name: "hf:OWNER/NAME", or the absolute path of a folder.
        config: one of its configurations; None where it has one alone.
        split: likewise.
        revision: on the hub a commit, tag or branch; None for the main branch.
    """

    name: str
    config: str | None = None
    split: str | None = None
    revision: str | None = None

    @property
    def on_hub(self) -> str | None:
        """OWNER/NAME; None for a folder."""
        return self.name.removeprefix(_HUB) if self.name.startswith(_HUB) else None


def parse_data_set(text: str) -> DataSetReference:
    """What "hf:OWNER/NAME,config=C,split=S" or "FOLDER,split=S" names.

    Raises:
        UserError: it has another form.
    """
    name, *words = text.split(",")
    settings = dict(word.partition("=")[::2] for word in words)
    known = DataSetReference._fields[1:]
    if not name or not all(settings.values()) or not settings.keys() <= set(known):
        raise UserError(
            f"--dataset {text}: give hf:OWNER/NAME or a folder, and after commas config=, split= or revision="
        )
    data_set = DataSetReference(name if name.startswith(_HUB) else files.absolute(name), **settings)
    if not data_set.on_hub and data_set.revision:
        raise UserError(f"--dataset {text}: a folder has no revision; leave it out")
    return data_set
