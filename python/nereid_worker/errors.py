"""How a model speaks of failure, and what is said to it when its arguments are wrong."""
import operator


def integer(what, value, low, high):
    """an int of any kind, NumPy's and bool too, as a plain one"""
    value = int(operator.index(value))
    if not low <= value <= high:
        raise ValueError("%s must lie between %d and %d, not %d" % (what, low, high, value))
    return value


def text(what, value):
    if not isinstance(value, str):
        raise TypeError("%s must be a str, not %s" % (what, type(value).__name__))
    return value


class TritonModelException(Exception):
    """What the server reports to Python code: a failed call, a wrong argument."""


class Refusal(TritonModelException):
    """What the worker itself has against a model: shown as it is, without the frames."""


class TritonError:
    """An error response: a message and one of Triton's codes."""

    UNKNOWN, INTERNAL, NOT_FOUND, INVALID_ARG, UNAVAILABLE, UNSUPPORTED, ALREADY_EXISTS, CANCELLED = range(8)

    __slots__ = ("_message", "_code")

    def __init__(self, message, code=INTERNAL):
        self._message = text("TritonError: the message", message)
        self._code = integer("TritonError: the code", code, 0, 7)

    def message(self):
        return self._message

    def code(self):
        return self._code


MOST_TEXT = 65536  # characters of an exception's own text, which may quote a model's data


def describe(error):
    """an exception as Triton shows it: its line, then the frames from the inner to the outer; whatever it says can be sent"""
    try:
        said = str(error)
    except BaseException as failure:
        said = "(its text cannot be had: %s)" % type(failure).__name__
    if len(said) > MOST_TEXT:
        said = "%s... (%d characters)" % (said[:MOST_TEXT], len(said))
    said = said.encode("utf-8", "backslashreplace").decode()
    if isinstance(error, Refusal):
        return said
    lines = ["%s: %s" % (type(error).__name__, said), "", "At:"]
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
