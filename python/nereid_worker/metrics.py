"""Custom metrics of models: they show on the server's metrics port."""
from nereid_worker import calls, channel
from nereid_worker.errors import TritonModelException, integer, text

INCREMENT, SET, OBSERVE = range(3)


class MetricFamily:
    COUNTER, GAUGE, HISTOGRAM = range(3)

    def __init__(self, name, description, kind):
        self._name = text("MetricFamily: the name", name)
        self._description = text("MetricFamily: the description", description)
        self._kind = integer("MetricFamily: the kind", kind, 0, 2)
        calls.call(channel.METRIC, ("family", self._name, self._description, self._kind))

    def Metric(self, labels=None, buckets=None):
        return Metric(self, labels or {}, buckets)


class Metric:
    def __init__(self, family, labels, buckets):
        if not isinstance(labels, dict) or not all(isinstance(k, str) and isinstance(v, str) for k, v in labels.items()):
            raise TritonModelException("labels must be a dict of str to str")
        if family._kind == MetricFamily.HISTOGRAM:
            if buckets is None:
                raise TritonModelException("Must provide at least one bucket for a histogram metric, or an empty list.")
            buckets = [float(each) for each in buckets]
            if any(a >= b for a, b in zip(buckets, buckets[1:])):
                raise TritonModelException("The buckets of a histogram must ascend.")
        elif buckets:
            raise TritonModelException("Unexpected buckets found for a metric that is no histogram.")
        self._family = family
        self._id = calls.call(channel.METRIC, ("metric", family._name, [(k, v) for k, v in labels.items()], list(buckets or ())))

    def __del__(self):
        if hasattr(self, "_id"):
            calls.tell(channel.METRIC, ("drop", self._id))

    def _change(self, what, value, kinds):
        if self._family._kind not in kinds:
            raise TritonModelException("Unsupported metric operation.")
        calls.tell(channel.METRIC, ("change", self._id, what, float(value)))

    def increment(self, value):
        if self._family._kind == MetricFamily.COUNTER and value < 0:
            raise TritonModelException("Cannot increment a counter by a negative value.")
        self._change(INCREMENT, value, (MetricFamily.COUNTER, MetricFamily.GAUGE))

    def set(self, value):
        self._change(SET, value, (MetricFamily.GAUGE,))

    def observe(self, value):
        self._change(OBSERVE, value, (MetricFamily.HISTOGRAM,))

    def value(self):
        if self._family._kind == MetricFamily.HISTOGRAM:
            raise TritonModelException("Unsupported metric operation.")
        return calls.call(channel.METRIC, ("value", self._id))
