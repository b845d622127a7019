"""What a real Airflow with AIPROD carries on this machine, one scenario per promise, judged by the vendors' own books."""
