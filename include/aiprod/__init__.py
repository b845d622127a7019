"""AIPROD, the library: orders finished videos from paid backends. It has never heard of Airflow."""

__version__ = "0.1.0"
