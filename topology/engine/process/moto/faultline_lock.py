"""Makes methods of moto's wait for each other where they would trip over each other."""

import functools


def one_at_a_time(lock, cls, *names):
    for name in names:
        plain = getattr(cls, name)

        def locked(*args, _plain=plain, **kwargs):
            with lock:
                return _plain(*args, **kwargs)

        setattr(cls, name, functools.wraps(plain)(locked))
