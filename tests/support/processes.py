"""What runs below a process, out of /proc."""
import os


def _stat(pid):
    """state and parent; None when it is gone"""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return fields[0], int(fields[1])
    except (OSError, IndexError):
        return None


def descendants(pid):
    """pids of all that runs below it; those that have ended and wait to be seen are left out"""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (stat := _stat(entry)) and stat[0] != "Z":
            parents.setdefault(stat[1], []).append(int(entry))
    found = list(parents.get(pid, []))
    for each in found:
        found += parents.get(each, [])
    return found


def command(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def workers(pid):
    """the Python workers of a server, with what they have forked"""
    return [each for each in descendants(pid) if "-m nereid_worker " in command(each)]


def named(pid, words):
    """the descendants in whose command line `words` stand, followed by a blank"""
    return [each for each in descendants(pid) if words + " " in command(each)]


def descriptors(pid):
    """what each open descriptor is, without numbers that differ from one to the next"""
    found = []
    for entry in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{entry}").split(":[")[0])
        except OSError:
            pass
    return sorted(found)
