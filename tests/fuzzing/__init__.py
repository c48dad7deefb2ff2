"""Every reader of files, and files that are damaged a little: what comes out is a result or a line.

`mutate.py` damages, `readers.py` lists who reads what, `attack.py` brings them together and judges.
"""
