"""The shop's server from the postmortem: a bounded queue before one worker, and an illness only a restart cures.

`python3 -m lab.shop` starts one; `python3 -m lab.shop.manifests` prints the demo's four for `kubectl apply`.

What it guards against: a demo that is staged. The worker burns real CPU, so the pod's real limit throttles it; the
queue really overflows; nothing in the server knows of Evenload. `shop_sick` is exported as the tests' truth alone.
"""
