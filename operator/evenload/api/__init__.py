"""The two kinds as Kubernetes objects, and the CRDs made from them. Knows the model; talks to nobody."""
