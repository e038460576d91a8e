"""The benchmarks of speed as one: what they are (parts), running them (command), tables (table)."""
