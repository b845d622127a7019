"""How such systems are usually written, on the same storms as ours: what each overspends, doubles and loses."""
