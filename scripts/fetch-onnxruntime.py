#!/usr/bin/env python3
"""Puts ONNX Runtime where the worker finds it; `just ort` runs this.

    fetch-onnxruntime.py [--version VERSION] [FOLDER]

The library is taken out of the Python package `onnxruntime`, which pip downloads and verifies.
Neither Python nor the package is needed afterwards.

FOLDER is `lib` in cargo's target folder unless it is given, so that the executables in
`target/debug` and `target/release` find it. For an executable elsewhere, name the folder `lib`
beside it or one folder up: for `~/.cargo/bin/hyperfake` that is `~/.cargo/lib`.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import zipfile

# The version that the tests were run with. 1.17 is the oldest that serves.
VERSION = "1.32.0"

# Any Python will do, as the library does not depend on it; but pip chooses a package by it.
FOR_PYTHON = ["--python-version", "3.12", "--implementation", "cp", "--abi", "cp312"]


def target_folder():
    here = pathlib.Path(__file__).parent
    command = ["cargo", "metadata", "--no-deps", "--offline", "--format-version", "1"]
    metadata = subprocess.run(command, cwd=here, check=True, stdout=subprocess.PIPE).stdout
    return pathlib.Path(json.loads(metadata)["target_directory"])


def download(version, folder):
    """The package, as pip finds it for this machine."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    what = ["--no-deps", "--only-binary=:all:", *FOR_PYTHON, "--dest", folder]
    subprocess.run([*pip, *what, f"onnxruntime=={version}"], check=True)
    (wheel,) = pathlib.Path(folder).glob("*.whl")
    return wheel


def is_library(name):
    """libonnxruntime.so.1.32.0, libonnxruntime.1.32.0.dylib, onnxruntime.dll"""
    name = pathlib.PurePosixPath(name)
    starts = ("libonnxruntime.so", "libonnxruntime.1.", "onnxruntime.dll")
    return name.parent.name == "capi" and name.name.startswith(starts)


def unpack(wheel, folder):
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        libraries = [name for name in archive.namelist() if is_library(name)]
        if not libraries:
            sys.exit(f"there is no library in {wheel.name}")
        for library in libraries:
            path = folder / pathlib.PurePosixPath(library).name
            # Under its name only when it is whole: a worker may be looking.
            part = path.with_name(path.name + ".part")
            part.write_bytes(archive.read(library))
            part.replace(path)
            print(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--version", default=VERSION, help=f"of ONNX Runtime, {VERSION} if not given")
    parser.add_argument("folder", nargs="?", type=pathlib.Path, help="where to put the library")
    arguments = parser.parse_args()
    folder = arguments.folder or target_folder() / "lib"
    with tempfile.TemporaryDirectory() as downloads:
        unpack(download(arguments.version, downloads), folder)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error.cmd[0]} failed, see above")
