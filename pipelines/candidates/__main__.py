"""`python -m pipelines.candidates`."""

import sys

from pipelines.candidates.job import main
from transforms.base.console import outlive_readers

outlive_readers()
sys.exit(main())
