"""`python -m pipelines.benchmark`."""

import sys

from pipelines.benchmark.job import main

sys.exit(main())
