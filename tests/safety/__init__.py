"""The public proof: a campaign of seeded storms on real processes, judged from the vendor's own books."""
