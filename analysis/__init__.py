"""Pure functions from recorded runs to tables, figures and findings."""
