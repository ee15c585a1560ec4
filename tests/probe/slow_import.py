"""A task module that takes its time, as those that load a model do."""

import os
import time

time.sleep(float(os.environ.get("PROBE_TEST_IMPORT_SECONDS", "0")))
