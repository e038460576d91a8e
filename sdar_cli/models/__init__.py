"""Models and tokenizers: loaded from a folder or a hub, or made small for a laptop."""
