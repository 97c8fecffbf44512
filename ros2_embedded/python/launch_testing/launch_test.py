"""`launch_test file.py name:=value ...`"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from types import ModuleType

from launch_testing.loader import launch_tests
from launch_testing.runner import LaunchRun


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="launch_test", description="Run a launch and the tests of it")
    parser.add_argument("file", type=Path, help="has generate_test_description() and TestCases")
    parser.add_argument("arguments", nargs="*", help="name:=value")
    args = parser.parse_args()
    if not args.file.is_file():
        parser.error(f"'{args.file}' does not exist")
    module = _load(args.file)
    if not hasattr(module, "generate_test_description"):
        parser.error(f"'{args.file}' has no generate_test_description()")
    arguments = [text.partition(":=")[::2] for text in args.arguments]
    failed = tests = 0
    for test in launch_tests(module):
        run = LaunchRun(test, arguments)
        run.run()
        tests += sum(result.testsRun for result in run.results)
        failed += len(run.failures())
        print("".join(f"FAIL: {text}\n" for text in run.failures()), end="", file=sys.stderr)
    print(f"Ran {tests} tests, {failed} failed")
    return 1 if failed else 0


def _load(path: Path) -> ModuleType:
    module = ModuleType(path.name.partition(".")[0])  # launch tests may be named x.test.py
    module.__file__ = str(path.absolute())
    sys.modules[module.__name__] = module
    exec(compile(path.read_text(), str(path), "exec"), module.__dict__)
    return module
