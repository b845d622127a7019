#!/bin/bash
# Run once by the image of Postgres, on an empty volume: one database for Airflow, one for the money, neither login reaches the other.
set -euo pipefail

# psql quotes the passwords itself; they are in no argument list.
psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\getenv airflow AIRFLOW_DB_PASSWORD
\getenv aiprod AIPROD_DB_PASSWORD
CREATE ROLE airflow LOGIN PASSWORD :'airflow';
CREATE ROLE aiprod LOGIN PASSWORD :'aiprod';
CREATE DATABASE airflow OWNER airflow;
CREATE DATABASE aiprod OWNER aiprod;
REVOKE CONNECT ON DATABASE airflow FROM PUBLIC;
REVOKE CONNECT ON DATABASE aiprod FROM PUBLIC;
SQL
