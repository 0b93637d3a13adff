"""`python -m monitor.cli`, the same as the `edgewarden` script."""

import sys

from monitor.cli import main

sys.exit(main())
