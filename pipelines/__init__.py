import logging
import os
import tempfile
from contextlib import suppress

# On import Beam warns that it lacks BigQuery's client, which nothing here uses.
logging.getLogger().addFilter(lambda record: "apitools not found" not in record.getMessage())

# On import torch makes a folder for what it compiles, which is nothing here, and leaves it; this one is there already.
with suppress(OSError):  # there is none that can be written to, which a job reports when it needs one
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", tempfile.gettempdir())
