"""Writes steps/requirements.lock: every package that steps/requirements.in needs, pinned and hashed.

    uv pip compile --universal --python-version 3.10 --format pylock.toml -o pylock.toml steps/requirements.in
    python make-lock.py pylock.toml steps/requirements.lock

One lock serves Python 3.10 to 3.14 on Linux and macOS: where one version cannot, markers choose. Only hashes of wheels
for those are kept, so that an installation never compiles, and no index is named: pip uses the one it is configured for.
"""

import re
import sys
import tomllib

WHEEL = re.compile(r"-(?P<python>[^-]+)-(?P<abi>[^-]+)-(?P<platform>[^-]+)\.whl$")
PYTHONS = re.compile(r"^(py3|py2\.py3|cp3|cp31[0-4]|cp3[0-9]|cp311)$")


def is_wanted(url):
    found = WHEEL.search(url)
    if not found:
        return False
    python, abi, platform = found["python"], found["abi"], found["platform"]
    if not any(PYTHONS.match(tag) for tag in python.split(".") + [python]):
        return False
    if abi not in ("none", "abi3") and not re.fullmatch(r"cp31[0-4]", abi):
        return False
    return platform == "any" or "macosx" in platform or ("manylinux" in platform and ("x86_64" in platform or "aarch64" in platform))


def main(source, target):
    with open(source, "rb") as file:
        packages = tomllib.load(file)["packages"]
    lines = ["# Made by make-lock.py from requirements.in: Python 3.10 to 3.14, Linux and macOS.", "--only-binary :all:"]
    for package in packages:
        marker = package.get("marker", "")
        if "win32" in marker:
            continue
        hashes = sorted({wheel["hashes"]["sha256"] for wheel in package.get("wheels", []) if is_wanted(wheel["url"])})
        if not hashes:
            raise SystemExit("No wheel of %s %s for these Pythons and systems" % (package["name"], package["version"]))
        condition = "" if marker in ("", "python_full_version >= '3.10'") else " ; " + marker
        lines.append("%s==%s%s \\" % (package["name"], package["version"], condition))
        lines += ["    --hash=sha256:%s%s" % (digest, " \\" if digest != hashes[-1] else "") for digest in hashes]
    with open(target, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


main(*sys.argv[1:])
