"""A folder of photos, matted in one run that can be killed, resumed, and spread over machines.

jobs.py      what there is to do: pairing in folders (by patterns) and from manifests, and what cannot be done
journal.py   the record beside the outputs: which output was made from what
work.py      one photo from its files to its outputs
engine.py    many of them: reading ahead, matting, writing behind
ray.py       the same on a Ray cluster
report.py    what came of each photo, a line each
page.py      a report as an HTML page
"""
