"""How a model speaks of failure."""


class TritonModelException(Exception):
    """What the server reports to Python code: a failed call, a wrong argument."""


class Refusal(TritonModelException):
    """What the worker itself has against a model: shown as it is, without the frames."""


class TritonError:
    """An error response: a message and one of Triton's codes."""

    UNKNOWN, INTERNAL, NOT_FOUND, INVALID_ARG, UNAVAILABLE, UNSUPPORTED, ALREADY_EXISTS, CANCELLED = range(8)

    __slots__ = ("_message", "_code")

    def __init__(self, message, code=INTERNAL):
        if not isinstance(message, str):
            raise TypeError("TritonError: the message must be a str, not %s" % type(message).__name__)
        if not isinstance(code, int) or not 0 <= code <= 7:
            raise TypeError("TritonError: the code must be one of TritonError's codes, not %r" % (code,))
        self._message = message
        self._code = code

    def message(self):
        return self._message

    def code(self):
        return self._code


def describe(error):
    """an exception as Triton shows it: its line, then the frames from the inner to the outer"""
    if isinstance(error, Refusal):
        return str(error)
    lines = ["%s: %s" % (type(error).__name__, error), "", "At:"]
    frames = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if "nereid_worker" not in code.co_filename:
            frames.append("  %s(%d): %s" % (code.co_filename, trace.tb_lineno, code.co_name))
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and error.filename:
        frames.append("  %s(%s): %s" % (error.filename, error.lineno, (error.text or "").strip()))
    return "\n".join(lines + frames[::-1]) + "\n"
