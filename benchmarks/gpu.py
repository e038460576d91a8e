"""Tokens a second, share of the GPU's peak and memory, at the shapes of Qwen3-1.7B and Qwen2.5-7B.

    python benchmarks/gpu.py [--models qwen3-1.7b qwen2.5-7b] [--engine vllm|hf] [--repeats 3] [--json FILE]
    python benchmarks/gpu.py --tiny           # the same code at a tiny shape, on a CPU too; its figures mean nothing

Weights are random, made from the published configuration: nothing is downloaded. Prompts and responses are random
tokens in ALFWorld's numbers: ``--episodes`` of ``--turns`` turns, each a row of ``--prompt`` and ``--response`` tokens,
and a teacher's prompt longer by ``--skills``. All else is the recipe ``alfworld-qwen3-1.7b`` or ``-qwen2.5-7b``, the
latter with LoRA of rank 32. Each model is measured in a process of its own.

generation            a turn of all episodes; tokens that were sampled
forward and backward  of training, over all tokens of the rows, prompts included
teacher               its pass within a step's scoring, over the tokens that it reads
sdar / grpo           a whole step: all turns' generation, scoring, training; the environment's time left out

Share of peak: FLOPs of the model over seconds and the GPU's peak for dense bfloat16. FLOPs of a forward pass are
2 · (weights of the layers' matrices) · tokens + 4 · layers · (heads · head size) · (pairs of a token and one it sees)
+ 2 · (weights of the head) · (tokens whose log-probs are asked for); a backward pass counts twice that, or once where
the weights are frozen (LoRA). What gradient checkpointing computes again is not counted, and a prefix that rows share
counts with every row: computing it once shows as speed.
"""

import sys

from gpu.command import main

if __name__ == "__main__":
    sys.exit(main(__doc__))
