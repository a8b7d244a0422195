"""May it be done now? Every budget and guard rail, in one place, with its memory in the cluster (the ledger).

Pure. A refusal is a value with a reason and a sentence, never an exception.
"""
