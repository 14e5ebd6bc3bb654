"""`python -m hpe_core` is the command `hpe`."""

import sys

from hpe_core.cli.main import main

sys.exit(main())
