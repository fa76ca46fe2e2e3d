"""`python3 -m botdock_engine_kubernetes`: print the account, its rights and nothing more, for `kubectl apply -f -`."""

import sys

from botdock_engine_kubernetes.checks import role_file

if __name__ == "__main__":
    sys.stdout.write(role_file())
