"""spprof: an out-of-process heap profiler. `spprof.memprof` has the functions, `python3 -m spprof` the commands."""
from . import memprof

__version__ = "0.1.0"
__all__ = ["memprof", "__version__"]
