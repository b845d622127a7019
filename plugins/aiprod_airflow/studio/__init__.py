"""The pages for people: orders, approvals, reviews and money, inside Airflow's own navigation."""
