"""What other programs are told to watch: policies, rules, dashboards and objectives, made from metrics.yaml and alerts.yaml."""
