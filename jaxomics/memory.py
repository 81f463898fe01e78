"""Huge pages for large arrays on Linux.

Large arrays are limited by how fast memory can be mapped. glibc backs large blocks by huge pages
when `GLIBC_TUNABLES=glibc.malloc.hugetlb=1` is set before the process starts, which makes steps of
MOSA 3 % faster on two CPU cores (docs/results/speed.md). A process cannot set it for itself, so the
command line starts itself once more, with the same arguments, process id and open files.
"""

import os
import sys

SWITCH = "JAXOMICS_HUGEPAGES"
"""Environment variable: `off` disables the restart; the restarted process finds `set`."""

TUNABLES = "GLIBC_TUNABLES"
SETTING = "glibc.malloc.hugetlb=1"


def use_huge_pages() -> None:
    """Replace this process by one that uses huge pages; return at once where that is needless.

    Nothing happens off Linux, when the user has set `GLIBC_TUNABLES`, or with
    `JAXOMICS_HUGEPAGES` set. Call it before anything large is imported.
    """
    environment = huge_page_environment(dict(os.environ), sys.platform)
    if environment is None or not sys.executable:
        return
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)
    except OSError:
        os.environ[SWITCH] = "off"


def huge_page_environment(environment: dict[str, str], platform: str) -> dict[str, str] | None:
    """Return the environment to start again with, or None to go on as it is.

    >>> huge_page_environment({}, "linux")
    {'GLIBC_TUNABLES': 'glibc.malloc.hugetlb=1', 'JAXOMICS_HUGEPAGES': 'set'}
    >>> huge_page_environment({"JAXOMICS_HUGEPAGES": "set"}, "linux") is None
    True
    """
    if platform != "linux" or SWITCH in environment or TUNABLES in environment:
        return None
    return {**environment, TUNABLES: SETTING, SWITCH: "set"}
