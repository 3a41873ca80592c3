"""`python -m pipelines.candidates`."""

import sys

from pipelines.candidates.job import main

sys.exit(main())
