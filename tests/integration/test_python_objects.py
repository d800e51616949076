"""Tensors, requests and responses are C objects: what a model may do with them, and what it must not be able to break."""
import textwrap

import pytest

from support.processes import named
from support.python_models import PYTHON, error, infer, tensor, values, write_model

pytestmark = pytest.mark.smoke

# Runs the code it is sent, which finds `requests` and leaves its answer in `out`; or returns what that leaves in `responses`.
RUN = """
    import gc, sys, weakref
    from nereid_worker import core

    class TritonPythonModel:
        def execute(self, requests):
            names = dict(globals(), requests=requests, kept=self.__dict__)
            exec(requests[0].inputs()[0].as_numpy()[0].decode(), names)
            if "responses" in names:
                return names["responses"]
            return [pb_utils.InferenceResponse([pb_utils.Tensor("OUT", np.array([repr(names["out"])], dtype=object))])]
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """run(code) -> (its answer or error, pid of the worker)"""
    from support.server import Server

    repository = tmp_path_factory.mktemp("objects") / "models"
    write_model(repository, "run", RUN, [("IN", "STRING", [1])], [("OUT", "STRING", [1])])
    server = Server(repository.parent, f"--model-repository={repository}", "--v2-auth=open", PYTHON).start()

    def ask(code):
        response = infer(server, "run", tensor("IN", "BYTES", [1], [textwrap.dedent(code)]))
        return (eval(values(response)["OUT"][0]) if response.status_code == 200 else error(response)), named(server.pid, "nereid_worker run_0")

    yield ask
    server.signal(15)
    server.wait(30)


def test_they_are_made_and_looked_at_as_those_of_triton(run):
    out, _ = run("""
        class Mine(pb_utils.Tensor):
            def name(self):
                return "mine"

        array = np.arange(6, dtype=np.int32).reshape(2, 3)
        t = pb_utils.Tensor(numpy_array=array, name="T")
        mine = Mine("T", array)
        response = pb_utils.InferenceResponse(output_tensors=(t, mine), parameters={"a": 1})
        failed = pb_utils.InferenceResponse(error=pb_utils.TritonError("no"), output_tensors=[t])
        swapped = pb_utils.Tensor("S", array.astype(">i4"))
        r = requests[0]
        seen = weakref.ref(r)() is r and weakref.ref(response)() is response
        out = [t.name(), t.shape(), t.triton_dtype(), t.as_numpy() is array, mine.name(), [x is y for x, y in zip(response.output_tensors(), (t, mine))],
               response.parameters(), response.has_error(), failed.has_error(), failed.error().message(), failed.output_tensors(),
               pb_utils.InferenceResponse(x for x in [t]).output_tensors()[0] is t, pb_utils.InferenceResponse().output_tensors(),
               swapped.triton_dtype(), pb_utils.get_output_tensor_by_name(response, "T") is t, seen, sorted(r.requested_output_names()),
               type(t).__name__, type(r).__name__, type(response).__name__]
    """)
    assert out == ["T", [2, 3], 8, True, "mine", [True, True], '{"a": 1}', False, True, "no", [], True, [], 8, True, True, ["OUT"],
                   "Tensor", "InferenceRequest", "InferenceResponse"]


def test_nothing_of_a_request_stays_behind(run):
    code = """
        gc.collect()
        out = [len(gc.get_objects()), sys.getallocatedblocks()]
    """
    for _ in range(50):
        run(code)
    before, worker = run(code)
    for _ in range(300):
        after, _ = run(code)
    assert after[0] - before[0] < 50 and after[1] - before[1] < 100
    out, same = run("""
        name, array, bad = "a name of its own", np.arange(10000.0), np.zeros(1, np.complex64)
        before = [sys.getrefcount(x) for x in (name, array, bad, np.ndarray, pb_utils.Tensor, pb_utils.InferenceResponse)]
        for _ in range(1000):
            t = pb_utils.Tensor(name, array)
            t.__init__(name, array)
            t.as_numpy()
            r = pb_utils.InferenceResponse([t])
            r.__init__([t, t])
            r.__init__(parameters={"a": 1})
            for wrong in (lambda: pb_utils.Tensor(name, bad), lambda: pb_utils.Tensor("", array), lambda: pb_utils.Tensor(name, 5),
                          lambda: pb_utils.InferenceResponse([name]), lambda: pb_utils.InferenceResponse([t], error=name), lambda: t.__init__(name)):
                try:
                    wrong()
                except Exception:
                    pass
            del t, r, wrong
        out = [x - y for x, y in zip((sys.getrefcount(x) for x in (name, array, bad, np.ndarray, pb_utils.Tensor, pb_utils.InferenceResponse)), before)]
    """)
    assert out == [0] * 6 and same == worker


def test_what_holds_itself_is_collected(run):
    out, _ = run("""
        class Array(np.ndarray):
            pass

        def rings():
            for holder in ("tensor", "response", "request"):
                array = np.zeros(1).view(Array)
                t = pb_utils.Tensor("T", array)
                r = pb_utils.InferenceResponse([t])
                q = pb_utils.InferenceRequest(model_name="m", requested_output_names=[], inputs=[t])
                array.holder = {"tensor": t, "response": r, "request": q}[holder]
                yield weakref.ref(array)

        gc.disable()
        rings = list(rings())
        alive = [ring() is not None for ring in rings]
        gc.enable()
        gc.collect()
        out = [alive, [ring() is None for ring in rings]]
    """)
    assert out == [[True] * 3, [True] * 3]


@pytest.mark.parametrize("code, said", [
    ("responses = [pb_utils.InferenceResponse([pb_utils.Tensor.__new__(pb_utils.Tensor)])]", "must be pb_utils.Tensor objects"),
    ("pb_utils.Tensor.__new__(pb_utils.Tensor).as_numpy()", "cannot be converted to numpy"),
    ("r = pb_utils.InferenceResponse([]); r.output_tensors().append('x'); responses = [r]", "must be pb_utils.Tensor objects"),
    ("responses = [pb_utils.InferenceResponse.__new__(pb_utils.InferenceResponse)]", "TypeError"),
    ("pb_utils.InferenceResponse([1])", "output_tensors must hold pb_utils.Tensor objects, not int"),
    ("pb_utils.InferenceResponse([], error='no')", "error must be a TritonError, not str"),
    ("pb_utils.Tensor(5, np.zeros(1))", "the name must be a str, not int"),
    ("pb_utils.Tensor('T', [1])", "a numpy.ndarray is expected, not list"),
    ("pb_utils.Tensor('T', np.zeros(1, np.complex64))", "unsupported NumPy dtype 'complex64'"),
    ("pb_utils.Tensor('T')", "TypeError"),
    ("type(pb_utils.Tensor('T', np.zeros(1))).__mro__[1]._datatype.__set__(pb_utils.Tensor('T', np.zeros(1)), 99)", "AttributeError"),
    ("responses = (pb_utils.InferenceResponse([]),)", "Expected a list in the execute return, found type"),
    ("responses = [None]", "Expected an 'InferenceResponse' object in the execute function return list, found type"),
    ("requests[0]._requested = 5; responses = [pb_utils.InferenceResponse([pb_utils.Tensor('OUT', np.zeros(1))])]", "TypeError"),
    ("requests.clear(); responses = []", ""),
    ("requests[0] = None; responses = [pb_utils.InferenceResponse([])]", ""),
    ("raise ValueError('\\ud800')", "ValueError: \\ud800"),
    ("raise ValueError('x' * 6000000)", "x... (6000000 characters)"),
    ("""
class Mute(Exception):
    def __str__(self):
        raise self

raise Mute()
""", "Mute: (its text cannot be had: Mute)"),
    ("requests[0].exec()", "only an InferenceRequest that the model has made itself"),
    ("pb_utils.InferenceRequest.__new__(pb_utils.InferenceRequest).exec()", "only an InferenceRequest that the model has made itself"),
    ("pb_utils.InferenceResponseSender(pb_utils.InferenceRequest(model_name='m', requested_output_names=[], inputs=[]))",
     "only a request that execute() was given has a response sender"),
    ("pb_utils.InferenceResponseSender(5)", "only a request that execute() was given has a response sender"),
    ("t = pb_utils.Tensor('OUT', np.zeros(4)); t.as_numpy().resize(8, refcheck=False); responses = [pb_utils.InferenceResponse([t])]",
     "the array of Tensor 'OUT' was resized: it has 64 bytes, its shape is (4,)"),
    ("t = pb_utils.Tensor('OUT', np.array(['a'] * 4, dtype=object)); t.as_numpy().resize(8, refcheck=False); "
     "responses = [pb_utils.InferenceResponse([t])]", "the array of Tensor 'OUT' was resized: it has 8 elements, its shape is (4,)"),
    # a name that takes its tensor away while it is compared
    ("""
class Name(str):
    __hash__ = str.__hash__

    def __eq__(self, other):
        r.output_tensors().clear()
        gc.collect()
        return True

r = pb_utils.InferenceResponse([pb_utils.Tensor(Name("OUT"), np.zeros(1))])
responses = [r]
""", ""),
])
def test_what_a_model_does_to_them_harms_itself_only(run, code, said):
    _, worker = run("out = 1")
    out, _ = run(code)
    assert isinstance(out, str) and said in out
    assert run("out = 2") == (2, worker)


def test_arrays_of_a_models_own_class_are_sent_as_what_they_hold(run):
    for size in (8, 2000):  # copied at once, or into the message
        out, _ = run(f"""
            class Liar(np.ndarray):
                nbytes = 5

                def tobytes(self, order="C"):
                    return b""

                def tolist(self):
                    return []

                def view(self, *what):
                    return None

            texts = np.array([str(i) for i in range({size})], dtype=object).view(Liar)
            masked = np.ma.masked_array(np.arange({size}, dtype=np.int64), mask=[i % 2 for i in range({size})])
            numbers = np.arange({size}, dtype=">f8").view(Liar)
            copies = []
            packed, at = core.encode([pb_utils.Tensor("A", texts), pb_utils.Tensor("B", masked), pb_utils.Tensor("C", numbers)], None, copies, 0)
            out = [[each.decode() for each in copies[0]] == [str(i) for i in range({size})], copies[1].tolist() == list(range({size})),
                   copies[2].tolist() == list(range({size})), type(copies[1]) is np.ndarray, copies[2].dtype.isnative]
        """)
        assert out == [True] * 5


def test_dlpack_of_another_byte_order_holds_the_values(run):
    assert run("""
        array = np.arange(4, dtype=">i4")
        out = pb_utils.Tensor.from_dlpack("T", pb_utils.Tensor("S", array).to_dlpack()).as_numpy().tolist()
    """)[0] == [0, 1, 2, 3]
