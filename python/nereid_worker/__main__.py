"""python3 -m nereid_worker NAME VERSION_FOLDER MODEL_FILE REGION_SIZES: started by the server, which hands in the descriptors.

This file is read by whatever Python the server was told to use, so it stays plain enough for an old one to say that it is too old.
"""
import sys

if not getattr(sys.flags, "safe_path", False):
    del sys.path[0]  # the server's folder, which -m puts first, has no modules for models

import os

LAST_WORDS = 7  # descriptor of a memory file that the server reads when the worker has died


def last_words(text):
    os.write(LAST_WORDS, text.encode("utf-8", "replace"))


def main():
    if sys.version_info < (3, 9):
        last_words("Python %d.%d at %s is too old: a model needs 3.9 or newer" % (sys.version_info[0], sys.version_info[1], sys.executable))
        sys.exit(3)
    try:
        from nereid_worker.host import run
    except BaseException as error:
        import traceback
        last_words("%s cannot run models: %s" % (sys.executable, "".join(traceback.format_exception_only(type(error), error)).strip()))
        sys.exit(3)
    run(sys.argv[1:])


main()
