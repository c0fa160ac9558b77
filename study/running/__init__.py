"""From flags to records: the plan, the workers, estimates and progress."""
