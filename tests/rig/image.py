"""The guest: a kernel and an initial RAM disk, made from Debian packages without root.

The recipe is this file, `packages.py`, `kernel.py` and the Debian release; their hash names the result
in the cache, so a second build is a look into a directory. What changes from run to run (the checkout
and `guest/`) is a small archive of its own: the kernel unpacks any number of them, one over the other.
With `APT_CONFIG` naming a configuration with another release's lists, the guest is of that release.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import kernel, packages

CHECKOUT = Path(__file__).resolve().parents[2]
_HERE = Path(__file__).resolve().parent
_TOOLS = ("qemu-system-x86_64", "apt-get", "apt-cache", "dpkg-deb", "tar", "depmod", "cpio")
_PACKAGES = ["busybox-static", "kmod", "libusb-1.0-0", "python3", "udev", "uhubctl"]
_PACKAGES += ["iproute2", "nftables", "dnsmasq-base"]
_MODULES = {"virtio_pci", "virtio_net", "xhci_pci", "usb_storage", "sd_mod"}
_MODULES |= {"usbnet", "rndis_host", "cdc_ether", "cdc_ncm"}
_MODULES |= {"libcomposite", "usb_f_rndis", "g_ether", "dummy_hcd", "vhci_hcd"}
_MODULES |= {"bridge", "br_netfilter", "nf_conntrack_bridge", "nft_meta_bridge", "nft_reject_bridge"}
_MODULES |= {"nf_tables", "nft_ct", "nft_masq", "nft_nat", "nft_chain_nat", "nft_reject_inet"}
_MODULES |= {"nft_fib_inet", "nft_limit", "nft_log", "ipv6"}
_MODULES |= {"crc32c_generic"}  # nf_tables needs it, by a name that depmod does not know
_WHEELS = ["libusb1", "aiomqtt", "paho-mqtt", "pydantic", "pydantic-core", "uvloop"]
_WHEELS += ["typing-extensions", "annotated-types", "typing-inspection"]
_WHEELS += ["typer", "annotated-doc", "click", "shellingham", "rich", "markdown-it-py", "mdurl", "pygments"]
_DIST_PACKAGES = "usr/lib/python3/dist-packages"


@dataclass(frozen=True)
class Image:
    """A built guest: what QEMU boots, and the unpacked root that further archives are made with."""

    directory: Path

    @property
    def kernel(self) -> Path:
        return self.directory / "kernel"

    @property
    def archive(self) -> Path:
        return self.directory / "base.cpio"

    @property
    def root(self) -> Path:
        return self.directory / "root"

    @property
    def packages(self) -> list[str]:
        return (self.directory / "packages").read_text().split()

    def compile(self, tree: Path, root: Path, *, keep_source: bool) -> None:
        """Compile what is under `tree`, in the guest's root `root`, by the guest's own Python.

        The host's may be another version. Unchecked hashes spare the guest a stat and a read per module
        (1.3 s instead of 3.5 s to start). A file that does not compile is left for the guest to complain of.
        """
        usr = self.root / "usr"
        python = [f"{usr}/lib64/ld-linux-x86-64.so.2", "--library-path", f"{usr}/lib/x86_64-linux-gnu"]
        python += [f"{usr}/bin/python3", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
        options = ["-s", str(root), "-p", "/", *([] if keep_source else ["-b"])]
        subprocess.run([*python, *options, str(tree)], check=False, env={"PYTHONHOME": str(usr)})
        if not keep_source:
            for source in tree.rglob("*.py"):
                source.unlink()


def missing() -> str | None:
    """Why this machine cannot run the rig, or None."""
    if platform.machine() != "x86_64":
        return f"the guest is amd64, this machine is {platform.machine()}"
    lacking = [tool for tool in _TOOLS if not packages.which(tool)]
    return f"not installed: {', '.join(lacking)}" if lacking else None


def cache() -> Path:
    return Path(os.environ.get("RIG_CACHE", CHECKOUT / ".cache/rig"))


def build() -> Image:
    """The guest, from the cache where the recipe has not changed."""
    image = Image(cache() / _recipe())
    with _alone():
        if not image.directory.exists():
            with _scratch() as partial:
                _make(Image(partial))
                partial.rename(image.directory)
                partial.mkdir()  # for its owner to remove
    return image


def overlay(image: Image, wanted: Sequence[str] = (), trees: Mapping[str, Path] | None = None) -> Path:
    """A further archive: Debian packages, and host directories by the path the guest shall see them at.

    Cached by what was asked for, not by what the directories hold.
    """
    asked = repr((sorted(wanted), sorted((trees or {}).items())))
    archive = image.directory / f"overlay-{hashlib.sha256(asked.encode()).hexdigest()[:16]}.cpio"
    with _alone(), _scratch() as scratch:
        if not archive.exists():
            root = scratch / "root"
            packages.merge_usr(root)
            packages.install(packages.closure(wanted, without=image.packages), root, scratch)
            for path, tree in (trees or {}).items():
                shutil.copytree(tree, root / path.lstrip("/"), symlinks=True, dirs_exist_ok=True)
            _pack(root, scratch / "archive").rename(archive)
    return archive


def checkout(image: Image, archive: Path) -> Path:
    """The archive of one run: `terrible/` as it is now, and the guest's own scripts."""
    with tempfile.TemporaryDirectory(prefix="rig-checkout-") as partial:
        root = Path(partial)
        unwanted = shutil.ignore_patterns("__pycache__")
        shutil.copytree(CHECKOUT / "terrible", root / _DIST_PACKAGES / "terrible", ignore=unwanted)
        (root / "etc").mkdir()
        for name, path in (("init", "."), ("execd.py", "."), ("passwd", "etc"), ("group", "etc")):
            shutil.copy(_HERE / "guest" / name, root / path)
        (root / "init").chmod(0o755)
        image.compile(root, root, keep_source=True)
        return _pack(root, archive)


# --------------------------------------------------------------------------------------------------


def _recipe() -> str:
    parts = [(_HERE / name).read_bytes() for name in ("image.py", "packages.py", "kernel.py")]
    parts += [Path("/etc/os-release").read_bytes(), os.environ.get("APT_CONFIG", "").encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """Next to the result, so that it can be renamed into place when it is whole."""
    with tempfile.TemporaryDirectory(dir=cache(), prefix="partial-") as directory:
        yield Path(directory)


def _make(image: Image) -> None:
    packages.merge_usr(image.root)
    chosen = packages.closure(_PACKAGES)
    packages.install(chosen, image.root, image.directory)
    (image.directory / "packages").write_text("\n".join(chosen))
    kernel.install(image.root, image.kernel, _MODULES, image.directory / "scratch")
    _python(image)
    _applets(image.root / "usr")
    _pack(image.root, image.archive)


def _python(image: Image) -> None:
    """The agent's dependencies as wheels for the guest's Python, then everything compiled."""
    version = (image.root / "usr/bin/python3").readlink().name.removeprefix("python")
    target = image.root / _DIST_PACKAGES
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--no-deps"]
    pip += ["--only-binary=:all:", "--python-version", version, "--target", str(target), *_WHEELS]
    done = subprocess.run(pip, check=False, capture_output=True, text=True)
    if done.returncode:
        raise packages.UnavailableError(f"pip install failed: {done.stderr.strip()}")
    for tree in (image.root / f"usr/lib/python{version}", target):
        image.compile(tree, image.root, keep_source=False)


def _applets(usr: Path) -> None:
    """Busybox stands in for every command that no package brought."""
    listed = subprocess.run([usr / "bin/busybox", "--list"], check=True, capture_output=True, text=True)
    for name in listed.stdout.split():
        if not any(os.path.lexists(usr / where / name) for where in ("bin", "sbin")):
            (usr / "bin" / name).symlink_to("busybox")


def _pack(root: Path, archive: Path) -> Path:
    """Not compressed: inflating 75 MB costs the emulated processor 3 s of every start."""
    names = "\0".join(sorted(str(path.relative_to(root)) for path in root.rglob("*")))
    with archive.open("wb") as out:
        cpio = ["cpio", "--quiet", "-o", "-0", "-H", "newc", "-R", "0:0"]
        subprocess.run(cpio, cwd=root, input=names.encode(), stdout=out, check=True)
    return archive
