"""The nouns: frozen values that pass between stages. No I/O, no clock, no behaviour beyond reading themselves.

They are msgspec Structs, not dataclasses: one is made in a third of a microsecond (a dataclass takes three), they
check themselves when decoded, and the same definition gives the recording format and the CRD schema.
"""
