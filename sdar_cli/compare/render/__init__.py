"""A comparison as text: terminal, Markdown, CSV, LaTeX."""
