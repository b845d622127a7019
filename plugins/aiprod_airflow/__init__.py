"""Airflow wearing the library: operators, triggers and the trigger form. No arithmetic, no SQL, no prices."""
