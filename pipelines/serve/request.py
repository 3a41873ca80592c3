"""What a service is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipelines.running.request import ModelRequest
from transforms.base.request import Check
from transforms.scoring.choices import is_address


@dataclass(frozen=True, kw_only=True)
class ServeRequest(ModelRequest):
    """A service; each field is the option of its name."""

    host: str = "127.0.0.1"
    port: int = 8080
    max_requests: int = 128
    max_documents: int = 1000
    max_body_bytes: int = 8 << 20

    def checks(self) -> Iterable[Check]:
        """Also an address in place of a model."""
        return (self._complaints,)

    def _complaints(self) -> Iterator[str]:
        wrong = [*self.model_complaints()]
        yield from wrong
        if not wrong and is_address(self.model):
            yield f"--model {self.model}: is served already; give a model to load"
