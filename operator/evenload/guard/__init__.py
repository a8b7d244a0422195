"""The guard of updates: what the API server refuses or warns of before a mistake of a balancer's weights is stored.

`verdict` says it of two manifests, in Python; `cel` and `policies` write the ValidatingAdmissionPolicies that say the
same in the API server, without Evenload. Both come from `model.guard`, from what the drivers say of where weights stand
(`Split`), and from one table of cases (tests/support/guardcases.py).
"""
