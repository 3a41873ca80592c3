"""`python -m pipelines.benchmark`."""

import sys

from pipelines.benchmark.job import main
from transforms.base.console import outlive_readers

outlive_readers()
sys.exit(main())
