"""A Python host with PyPI's mlx and rmlx in one process: each computes what is right, with limits and counts of its own.

    PYTHONPATH=FOLDER-OF-MLX python other_mlx.py LIBRARY MODEL first|last|linked local|global

rmlx is loaded before mlx, after it, or is there already, as in a program that is linked with it and embeds Python
(LD_PRELOAD stands for that). `global` loads both with RTLD_GLOBAL.
"""

import ctypes
import os
import sys
import threading

LIBRARY, MODEL, ORDER, SCOPE = sys.argv[1:]
FLAGS = os.RTLD_NOW | (os.RTLD_GLOBAL if SCOPE == "global" else os.RTLD_LOCAL)
MIB = 1 << 20


class Usage(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t)] + [
        (name, ctypes.c_uint64) for name in ("active", "cache", "peak", "limit", "media")
    ]


class Rmlx:
    def __init__(self):
        self.library = ctypes.CDLL(None if ORDER == "linked" else LIBRARY, mode=FLAGS)
        self.library.rmlx_error_message.restype = ctypes.c_char_p

    def call(self, function, *arguments):
        error = ctypes.c_void_p()
        status = getattr(self.library, function)(*arguments, ctypes.byref(error))
        assert status == 0, f"{function}: {status} {self.library.rmlx_error_message(error)}"

    def load(self, folder):
        model = ctypes.c_void_p()
        self.call("rmlx_model_load", folder.encode(), None, ctypes.byref(model))
        return model

    def ask(self, model, question):
        text, question = ctypes.c_char_p(), question.encode()
        size = ctypes.c_size_t(len(question))
        self.call("rmlx_respond_text", model, question, size, None, ctypes.byref(text), None)
        return text.value.decode()

    def usage(self):
        usage = Usage(ctypes.sizeof(Usage))
        self.call("rmlx_memory_stats", ctypes.byref(usage))
        return usage


def import_mlx():
    sys.setdlopenflags(FLAGS)
    import mlx.core

    return mlx.core


def check_mlx(mx):
    a = mx.arange(64 * 96, dtype=mx.float32).reshape(64, 96) % 7 - 3
    b = mx.arange(96 * 32, dtype=mx.float32).reshape(96, 32) % 5 - 2
    product = [[sum(x * y for x, y in zip(row, column)) for column in zip(*b.tolist())] for row in a.tolist()]
    assert (a @ b).tolist() == product, "mlx's product is wrong"
    square = (a[:8, :8] + 9 * mx.eye(8)).astype(mx.float32)
    inverse = mx.linalg.inv(square, stream=mx.cpu)
    assert mx.abs(square @ inverse - mx.eye(8)).max().item() < 1e-4, "mlx's inverse is wrong"
    assert abs(mx.softmax(mx.array([0.0, 0.0])).sum().item() - 1) < 1e-6, "mlx's softmax is wrong"
    try:
        mx.eval(a.reshape(5, 5))
        raise AssertionError("mlx reshapes to what does not fit")
    except ValueError as error:
        assert "reshape" in str(error), error


def check_rmlx(rmlx, model):
    answer = rmlx.ask(model, "What is the capital of France?")
    assert answer == "Paris", f"the capital of France is not {answer!r}"
    error, nothing = ctypes.c_void_p(), ctypes.c_void_p()
    status = rmlx.library.rmlx_model_load(b"/no/such", None, ctypes.byref(nothing), ctypes.byref(error))
    assert status == 2, f"a folder that is not there answers {status}"


def check_memory(rmlx, mx):
    own = rmlx.usage()
    theirs = mx.set_memory_limit(123 * MIB)
    assert rmlx.usage().limit == own.limit, "mlx's limit is rmlx's"
    rmlx.call("rmlx_memory_set_limits", ctypes.c_uint64(234 * MIB), ctypes.c_uint64(2**64 - 1))
    assert mx.set_memory_limit(theirs) == 123 * MIB, "rmlx's limit is mlx's"
    assert rmlx.usage().limit == 234 * MIB, "rmlx's limit is not kept"
    rmlx.call("rmlx_memory_set_limits", ctypes.c_uint64(own.limit), ctypes.c_uint64(2**64 - 1))
    # The CPU backend keeps no cache: what is in use is counted apart.
    ours, theirs = rmlx.usage().active, mx.get_active_memory()
    assert ours > 0, "rmlx holds a model in no memory"
    held = mx.zeros((64 * MIB // 4,), dtype=mx.float32) + 1
    mx.eval(held)
    assert mx.get_active_memory() >= theirs + 64 * MIB, "mlx does not count what it holds"
    # What the released session held may be given back only now.
    assert rmlx.usage().active < ours + 64 * MIB, "mlx's arrays count as rmlx's"
    mx.clear_cache()
    rmlx.call("rmlx_memory_trim")
    assert mx.get_active_memory() >= theirs + 64 * MIB, "a trim of rmlx's takes mlx's memory"


def main():
    rmlx = mx = None
    if ORDER == "last":
        mx = import_mlx()
        check_mlx(mx)
    rmlx = Rmlx()
    model = rmlx.load(MODEL)
    check_rmlx(rmlx, model)
    mx = mx or import_mlx()
    check_mlx(mx)
    check_rmlx(rmlx, model)
    check_memory(rmlx, mx)
    failures = []

    def answers():
        try:
            for _ in range(3):
                check_rmlx(rmlx, model)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=answers)
    thread.start()
    for _ in range(5):
        check_mlx(mx)
    thread.join()
    assert not failures, failures
    rmlx.library.rmlx_model_release(model)
    check_mlx(mx)
    print("both are right")


main()
