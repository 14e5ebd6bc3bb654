"""Write the list by which shipped weights are verified when they are loaded. Run it after every change of them:

python -m training.deploy.hash_weights
"""

import json

from hpe_core import catalogue


def main():
    path = catalogue.WEIGHTS / catalogue.SUMS
    sums = catalogue.actual_sums()
    path.write_text(json.dumps(sums, indent=1) + "\n")
    print(f"written   {path}: {len(sums)} files")


if __name__ == "__main__":
    main()
