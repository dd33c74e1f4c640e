"""The parts of scripts/bench, one file for each idea.

lan.py: clients.py, lt_download.py, process.py, reader.py, report.py, swarm.py, tracker.py.
streaming.py: run.py over stage.py (the lab), contestants.py (who), reading.py with mount_reader.py
and lt_reader.py (what a reader does), *_cases.py (what is asked), wiretap.py and steps.py (where
the time went) and figures.py (the tables).
"""
