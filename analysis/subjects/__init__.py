"""The subjects of the paper, a file each with its facts, findings, tables and figures; a subject is found by its file.

``analysis.evidence`` has the decorators that say what a function makes.
"""
