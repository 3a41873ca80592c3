"""`python -m pipelines.rerank`."""

import sys

from pipelines.rerank.job import main
from transforms.base.console import outlive_readers

outlive_readers()
sys.exit(main())
