"""AIPROD over HTTP, inside Airflow's api-server: no second server, no second login."""
