"""Reads `go test -json`: prints what failed, what was skipped and why, and how long each package took; fails if a test failed.

With SPAREKEY_JUDGES=all a missing judge fails its test; what is still skipped here is listed with its reason.
"""

import json
import sys

output, failed, skipped, packages = {}, [], [], {}
passed = 0
for line in sys.stdin:
    try:
        event = json.loads(line)
    except ValueError:
        print(line, end="")  # make, or a build error
        continue
    key = (event.get("Package", ""), event.get("Test"))
    action = event["Action"]
    if action in ("output", "build-output"):
        output.setdefault(key, []).append(event["Output"])
        if action == "build-output":
            print(event["Output"], end="")
    elif action == "fail":
        failed.append(key)
    elif action == "skip" and key[1]:
        skipped.append(key)
    elif action == "pass" and key[1]:
        passed += 1
    if action in ("pass", "fail") and not key[1]:
        packages[key[0]] = event.get("Elapsed", 0)

for key in failed:
    print(f"\nFAILED {key[0]} {key[1] or ''}")
    print("".join(output.get(key, []))[-6000:])
for package, seconds in sorted(packages.items(), key=lambda item: -item[1]):
    print(f"{seconds:8.1f} s  {package}")
print(f"{passed} tests passed, {len([k for k in failed if k[1]])} failed, {len(skipped)} skipped")
for package, test in skipped:
    reason = [text.strip() for text in output.get((package, test), []) if text.startswith("    ")]
    print(f"skipped {package} {test}: {'; '.join(reason)}")
if failed or not passed:
    sys.exit(1)
