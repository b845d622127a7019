# One image for every component: Airflow's own, what we pin, our code. Nothing runs as root, nothing is fetched at start.
FROM apache/airflow:slim-3.3.2-python3.11

# First the packages, so that a change of our code does not install them again.
COPY --chown=airflow:0 deploy/requirements.lock /opt/airflow/deploy/
RUN pip install --no-cache-dir --require-hashes -r /opt/airflow/deploy/requirements.lock && pip check

COPY --chown=airflow:0 include /opt/airflow/include
COPY --chown=airflow:0 plugins /opt/airflow/plugins
COPY --chown=airflow:0 dags /opt/airflow/dags
# Made here, so that a new volume belongs to who writes to it.
RUN mkdir -p /opt/airflow/var /opt/airflow/storage /opt/airflow/logs && chmod 0770 /opt/airflow/var /opt/airflow/storage

ENV PYTHONPATH=/opt/airflow/include:/opt/airflow/plugins \
    AIPROD_VAR_DIR=/opt/airflow/var \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/airflow/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/airflow/plugins \
    AIRFLOW__CORE__LOAD_EXAMPLES=False \
    AIRFLOW__USAGE_DATA_COLLECTION__ENABLED=False

USER airflow
