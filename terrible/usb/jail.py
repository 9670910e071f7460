"""Opening a file by a name that a node chose, without ever leaving the directory it is meant for.

The kernel does it where it has openat2 (Linux 5.6; RESOLVE_BENEATH, openat2(2)); elsewhere, and where a
sandbox or an old qemu hides the call, the name is walked here, one component at a time, with the same
answers. Symlinks work as long as no step of them leads out; an absolute one always does.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import stat

ABSENT = frozenset(
    {
        errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV, errno.EISDIR, errno.ENXIO, errno.ENODEV,
        errno.ENAMETOOLONG, errno.EINVAL,
    }
)  # fmt: skip
"""What `open_file` says of names that lead to no file; any other number is a trouble of this machine."""

_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
_PATH_MAX = 4096
_MOST_LINKS = 40
"""The kernel's own limit (path_resolution(7))."""
_SYS_OPENAT2 = 437
"""The same number on every architecture that Pis and PCs have."""
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_BENEATH = 0x08
_RACES = 16
"""RESOLVE_BENEATH answers EAGAIN when something was renamed under a `..`; that passes."""


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_syscall = ctypes.CDLL(None, use_errno=True).syscall
_syscall.restype = ctypes.c_long
_syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.POINTER(_How), ctypes.c_size_t)


def open_directory(path: str | os.PathLike[str]) -> int:
    """A descriptor of a directory to open files beneath; the path may lead through any link."""
    return os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def open_file(root: int, name: str) -> int:
    """A descriptor to read the regular file `name` beneath `root`; OSError for everything else.

    What it is comes before opening it: to open a device can have effects (a watchdog starts).
    """
    if "\0" in name:
        raise _error(errno.EINVAL)
    resolve = openat2 if _kernel_resolves() else walk
    os.close(_regular(resolve(root, name, os.O_PATH)))
    return _regular(resolve(root, name, _READ))


def openat2(root: int, name: str, flags: int) -> int:
    """Open `name` beneath `root`, resolved by the kernel."""
    how = _How(flags | os.O_CLOEXEC, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS)
    for _ in range(_RACES):
        fd = _syscall(_SYS_OPENAT2, root, os.fsencode(name), ctypes.byref(how), ctypes.sizeof(how))
        if fd >= 0:
            return int(fd)
        if ctypes.get_errno() not in (errno.EAGAIN, errno.EINTR):
            break
    raise _error(ctypes.get_errno())


def walk(root: int, name: str, flags: int) -> int:
    """Open `name` beneath `root`, resolved here."""
    if name.startswith("/"):
        raise _error(errno.EXDEV)
    if not name or len(os.fsencode(name)) >= _PATH_MAX:
        raise _error(errno.ENAMETOOLONG if name else errno.ENOENT)
    walker = _Walker(root, name)
    try:
        return walker.walk(flags)
    finally:
        walker.close()


class _Walker:
    """Where a walk has come to: the directories from the root down, and the components still to go."""

    def __init__(self, root: int, name: str) -> None:
        self._path = [os.dup(root)]
        self._todo = name.split("/")[::-1]
        self._links = 0

    def walk(self, flags: int) -> int:
        while self._todo:
            part = self._todo.pop()
            if part == "..":
                self._up()
            elif part not in ("", ".") and (fd := self._step(part, flags)) is not None:
                return fd
        return os.dup(self._path[-1])

    def close(self) -> None:
        for fd in self._path:
            os.close(fd)

    def _up(self) -> None:
        if len(self._path) == 1:
            raise _error(errno.EXDEV)
        os.close(self._path.pop())

    def _step(self, part: str, flags: int) -> int | None:
        """Go into a directory or put a link's target before the rest; what is neither ends the walk."""
        fd = os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._path[-1])
        mode = os.fstat(fd).st_mode
        if stat.S_ISDIR(mode):
            self._path.append(fd)
            return None
        target = os.readlink("", dir_fd=fd) if stat.S_ISLNK(mode) else None
        os.close(fd)
        if target is not None:
            self._follow(target)
            return None
        if self._todo:
            raise _error(errno.ENOTDIR)
        return self._open(part, flags)

    def _follow(self, target: str) -> None:
        self._links += 1
        if self._links > _MOST_LINKS:
            raise _error(errno.ELOOP)
        if target.startswith("/"):
            raise _error(errno.EXDEV)
        self._todo += target.split("/")[::-1]

    def _open(self, part: str, flags: int) -> int | None:
        try:
            return os.open(part, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._path[-1])
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
        self._follow(part)  # a link has taken the file's place since it was looked at: look again
        return None


@functools.cache
def _kernel_resolves() -> bool:
    """Whether openat2 is there: ENOSYS before Linux 5.6 and under qemu 7.2, EPERM behind seccomp filters."""
    root = open_directory("/")
    try:
        os.close(openat2(root, ".", os.O_PATH))
    except OSError:
        return False
    finally:
        os.close(root)
    return True


def _regular(fd: int) -> int:
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode):
        return fd
    os.close(fd)
    raise _error(errno.EISDIR if stat.S_ISDIR(mode) else errno.ENXIO)


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
