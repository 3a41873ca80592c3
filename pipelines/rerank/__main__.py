"""`python -m pipelines.rerank`."""

import sys

from pipelines.rerank.job import main

sys.exit(main())
