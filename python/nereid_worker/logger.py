"""pb_utils.Logger: lines in the server's log."""
import sys

from nereid_worker import channel
from nereid_worker.errors import integer


class LogLevel:
    INFO, WARNING, ERROR, VERBOSE = range(4)


class Logger:
    LogLevel = LogLevel
    INFO, WARNING, ERROR, VERBOSE = range(4)

    @staticmethod
    def log(message, level=LogLevel.INFO):
        _log(message, level)

    @staticmethod
    def log_info(message):
        _log(message, LogLevel.INFO)

    @staticmethod
    def log_warn(message):
        _log(message, LogLevel.WARNING)

    @staticmethod
    def log_error(message):
        _log(message, LogLevel.ERROR)

    @staticmethod
    def log_verbose(message):
        _log(message, LogLevel.VERBOSE)


MOST = 1 << 16  # characters of one line


def _log(message, level):
    level = integer("the level of a log line", level, 0, 3)
    frame = sys._getframe(2)
    channel.send((channel.LOG, level, frame.f_code.co_filename, frame.f_lineno, str(message)[:MOST]))
