"""List the known vulnerabilities of what a user installs: `make audit`.

Runs pip-audit, which asks the package index. A vulnerability that `known-vulnerabilities.txt` does
not name with a reason ends with exit code 1. Where the index cannot be asked, or says nothing about
the packages, this is told and the exit code is 0: no network must not fail a build.
"""

import json
import subprocess
import sys
from pathlib import Path

KNOWN = Path(__file__).with_name("known-vulnerabilities.txt")


def known(text):
    """Return the reasons by (package, identifier); lines are `package identifier reason`."""
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return {tuple(line.split()[:2]): line.split(maxsplit=2)[2] for line in lines}


def judge(found, reasons):
    """Return lines to print, and whether the build fails, from the JSON of pip-audit."""
    packages = [one for one in found["dependencies"] if "skip_reason" not in one]
    skipped = len(found["dependencies"]) - len(packages)
    lines, failed = [], False
    for one in packages:
        for vulnerability in one["vulns"]:
            names = (vulnerability["id"], *vulnerability.get("aliases", ()))
            reason = next(filter(None, (reasons.get((one["name"], i)) for i in names)), "")
            fixed = ", ".join(vulnerability["fix_versions"]) or "no release yet"
            what = f"{one['name']} {one['version']}: {names[0]}"
            lines.append(f"{what}, mended in {fixed}; {reason or 'NEW'}")
            failed |= not reason
    if not packages:
        lines.append(
            "nothing was audited: the index tells no vulnerabilities, or cannot be reached"
        )
    elif skipped:
        lines.append(f"{skipped} packages were not audited; the index does not have them")
    return [*lines, f"{len(packages)} packages audited"], failed


def main():
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off"]
    done = subprocess.run([*command, *sys.argv[1:]], capture_output=True, text=True, check=False)
    try:
        found = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        print(f"nothing was audited: {last}")
        return 0
    lines, failed = judge(found, known(KNOWN.read_text(encoding="utf-8")))
    print("\n".join(lines))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
