"""Read by Python before moto_server runs, by whatever wrappers it was started: says moto's version,
that requests are no news, and makes it keep its services' promises where it does not.
"""

import importlib.metadata
import logging
import os
import traceback

logging.getLogger("werkzeug").setLevel(logging.ERROR)
try:
    print("moto", importlib.metadata.version("moto"), flush=True)
except importlib.metadata.PackageNotFoundError:
    pass  # Python without moto, on the way to the one that has it
else:
    try:
        import faultline_kinesis  # noqa: F401
        import faultline_sns  # noqa: F401
        import faultline_sqs  # noqa: F401
        import faultline_throttle  # noqa: F401
    except Exception:  # a moto that is made otherwise must not run as it is
        traceback.print_exc()
        print("this moto is not one that can be mended: install 5.1.22 or 5.2.1", flush=True)
        os._exit(3)
