"""What becomes of memory that was freed, where glibc allocates it.

By itself it gives large blocks back to the system at once, and gets them again page by page, each
of which the system clears first; and threads allocate from several heaps, which all keep something.
A service that has batches come and go all the time is better off with one heap that keeps them:
with one rule, a twelfth of the time for a record is otherwise spent on that.
"""

import ctypes

# Of <malloc.h>; mallopt(3) says what they mean.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_KEPT_BYTES = 64 << 20  # at the most, at the end of the heap
_LARGEST_BYTES = 32 << 20  # of a block in it; the largest that mallopt takes


def keep_freed_memory() -> bool:
    """Has this process keep it. To be called before there are threads; false where the C library
    has nothing of that kind."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = {
        _M_ARENA_MAX: 1,
        _M_TRIM_THRESHOLD: _KEPT_BYTES,
        _M_MMAP_THRESHOLD: _LARGEST_BYTES,
    }
    return all(mallopt(name, value) for name, value in settings.items())
