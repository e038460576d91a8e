"""BM25 as Lucene computes it, over texts, with an index on disk that is memory-mapped.

Index.build(folder, texts)
Index.open(folder).search("red wool scarf", k=10)    # [Hit(document=17, score=4.2), ...]
"""

from sdar_envs.bm25.analysis import analyse
from sdar_envs.bm25.index import Hit, Index

__all__ = ["Hit", "Index", "analyse"]
