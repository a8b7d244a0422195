"""A real one-node Kubernetes on this machine: built from Go, apt and pip, up in seconds, gone without a trace.

Nothing here imports more than the standard library, so that `python3 -m lab` works before anything is installed
(`rich` draws the progress bars when it is there). See README.md beside this file.
"""
