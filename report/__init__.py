"""Facts and templates to LaTeX, HTML and PDF."""
