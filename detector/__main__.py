"""python -m detector [run | create-topics | rules | explain | tail] [--help]"""

import sys

from detector.commands.line import main

if __name__ == "__main__":
    sys.exit(main())
