"""Makes the distribution `spprofd` of the package `spprof` (PEP 517 and 660), with the standard library alone.

With SPPROF_BUNDLE=PREFIX in the environment the wheel takes agent, daemon and helpers along that `make install` put
there, and is one for this kind of machine; without, they are looked for when they are needed (spprof/_install.py).
"""
import base64
import hashlib
import io
import os
import re
import sysconfig
import tarfile
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
NAME = "spprofd"
BUNDLED = ("lib/spprof/libspprof-agent.so", "bin/spprofd", "bin/spprofctl")
HELPERS = "libexec/spprof"  # all that is there


def _read(*path):
    with open(os.path.join(HERE, *path), "rb") as file:
        return file.read()


def _version():
    return re.search(rb'^__version__ = "(.+)"$', _read("spprof", "__init__.py"), flags=re.M)[1].decode()


def _metadata():
    return (f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {_version()}\n"
            "Summary: spprof's client for Python: where the heap of this process, or another one, comes from\n"
            "License: MIT\nRequires-Python: >=3.9\nClassifier: Operating System :: POSIX :: Linux\n"
            "Classifier: Typing :: Typed\nDescription-Content-Type: text/markdown\n\n").encode() + _read("README.md")


def _sources():
    names = sorted(name for name in os.listdir(os.path.join(HERE, "spprof"))
                   if name.endswith(".py") and name != "_prefix.py" or name == "py.typed")
    return [(f"spprof/{name}", _read("spprof", name), 0o644) for name in names]


def _bundle():
    prefix = os.environ.get("SPPROF_BUNDLE")
    files = []
    helpers = [f"{HELPERS}/{name}" for name in sorted(os.listdir(os.path.join(prefix, HELPERS)))] if prefix else []
    for path in [*BUNDLED, *helpers] if prefix else ():
        with open(os.path.join(prefix, path), "rb") as file:
            files.append((f"spprof/_native/{os.path.basename(path)}", file.read(), 0o755))
    return files


def _tag():
    return "py3-none-" + (re.sub(r"[.-]", "_", sysconfig.get_platform()) if os.environ.get("SPPROF_BUNDLE") else "any")


def _info(tag):
    folder = f"{NAME}-{_version()}.dist-info"
    pure = "true" if tag.endswith("any") else "false"
    wheel = f"Wheel-Version: 1.0\nGenerator: spprof\nRoot-Is-Purelib: {pure}\nTag: {tag}\n".encode()
    return folder, [(f"{folder}/METADATA", _metadata(), 0o644), (f"{folder}/WHEEL", wheel, 0o644)]


def _digest(data):
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _write_wheel(directory, tag, files):
    folder, info = _info(tag)
    files = files + info
    record = "".join(f"{name},{_digest(data)},{len(data)}\n" for name, data, _ in files) + f"{folder}/RECORD,,\n"
    files.append((f"{folder}/RECORD", record.encode(), 0o644))
    name = f"{NAME}-{_version()}-{tag}.whl"
    with zipfile.ZipFile(os.path.join(directory, name), "w", zipfile.ZIP_DEFLATED) as wheel:
        for path, data, mode in files:
            entry = zipfile.ZipInfo(path)
            entry.external_attr = (0o100000 | mode) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            wheel.writestr(entry, data)
    return name


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    return _write_wheel(wheel_directory, _tag(), _sources() + _bundle())


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    return _write_wheel(wheel_directory, "py3-none-any", [(f"{NAME}.pth", HERE.encode() + b"\n", 0o644)])


def build_sdist(sdist_directory, config_settings=None):
    folder = f"{NAME}-{_version()}"
    files = _sources() + [(name, _read(name), 0o644) for name in ("pyproject.toml", "build_backend.py", "README.md")]
    with tarfile.open(os.path.join(sdist_directory, folder + ".tar.gz"), "w:gz") as archive:
        for path, data, mode in files + [("PKG-INFO", _metadata(), 0o644)]:
            entry = tarfile.TarInfo(f"{folder}/{path}")
            entry.size, entry.mode = len(data), mode
            archive.addfile(entry, io.BytesIO(data))
    return folder + ".tar.gz"
