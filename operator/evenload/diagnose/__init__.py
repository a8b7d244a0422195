"""What is wrong, where, and since when: a Fleet and the memory of earlier ones in, a Diagnosis out.

Pure. Nothing here knows what may be done about it; that is `evenload.plan`.
"""
