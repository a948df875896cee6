def f():
    import time
