"""AIPROD, the library: orders finished videos from paid backends. It has never heard of Airflow."""
