"""Read by Python before moto_server runs, by whatever wrappers it was started: says moto's version,
that requests are no news, and makes it keep its services' promises where it does not.
"""

import importlib.metadata
import logging

logging.getLogger("werkzeug").setLevel(logging.ERROR)
try:
    print("moto", importlib.metadata.version("moto"), flush=True)
except importlib.metadata.PackageNotFoundError:
    pass  # Python without moto, on the way to the one that has it
else:
    import faultline_kinesis  # noqa: F401
    import faultline_sqs  # noqa: F401
    import faultline_throttle  # noqa: F401
