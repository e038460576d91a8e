"""Run folders: what a training leaves on disk, and finding it again."""
