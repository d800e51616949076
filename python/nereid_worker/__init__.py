"""The worker of Nereid's Python backend: one process runs one instance of a model.py (see docs/python_backend.md)."""
