"""Where a model's files are, as far as its name says."""

from __future__ import annotations

from pathlib import Path

from transforms.base.errors import UserError

EMBEDDED = {"small-cross-encoder": Path(__file__).parent / "models" / "small-cross-encoder"}


def directory_of(name: str, revision: str | None = None) -> Path | None:
    """The directory with a model's files; None where the hub has them.

    Args:
        name: an embedded model's short name, a directory, or a hub id.
        revision: a commit, tag or branch of the hub.

    Raises:
        UserError: the name is none of these, or a directory has no revision.
    """
    directory = EMBEDDED.get(name, Path(name))
    if directory.is_dir():
        if revision:
            raise UserError(
                f"--revision {revision} applies to a model on the hub, but {name} is a directory: leave it out"
            )
        return directory
    if directory.exists():
        raise UserError(f"model {name}: a file; give the directory that it is in")
    if not is_hub_id(name):
        raise UserError(
            f"model {name}: no such directory; give a directory, a hub id (owner/name) or {', '.join(EMBEDDED)}"
        )
    return None


def is_hub_id(name: str) -> bool:
    """Whether a name that is not a directory's may be one of the hub's: owner/name."""
    return name.count("/") == 1 and not name.startswith((".", "/", "~"))
