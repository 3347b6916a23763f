"""Generates the stubs of proto/ into promotion_ledger/_wire while the package is built."""
import pathlib
import re
import shutil
import sys

from setuptools import setup

HERE = pathlib.Path(__file__).resolve().parent
FILES = ["fields", "record", "emitter", "auditor"]


def generate(target: pathlib.Path) -> None:
    from grpc_tools import protoc

    proto = next(p for p in (HERE / "proto", HERE.parent / "proto") if p.is_dir())
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    flags = [f"--{kind}_out={target}" for kind in ("python", "pyi", "grpc_python")]
    names = [f"promotion/v1/{name}.proto" for name in FILES]
    if protoc.main(["protoc", f"--proto_path={proto}", *flags, *names]) != 0:
        sys.exit("the stubs cannot be generated from proto/")
    # protoc writes imports from the root of the tree; these live inside the package, in one folder.
    for file in sorted((target / "promotion" / "v1").iterdir()):
        text = re.sub(r"^from promotion\.v1 import", "from . import", file.read_text(), flags=re.M)
        (target / file.name).write_text(text)
        file.unlink()
    (target / "promotion" / "v1").rmdir()
    (target / "promotion").rmdir()
    (target / "__init__.py").write_text('"""Generated from proto/promotion/v1."""\n')


# Before setuptools looks for the packages: one of them is generated.
generate(HERE / "promotion_ledger" / "_wire")
setup()
