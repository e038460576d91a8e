"""A server for Search-QA's retrieval: a corpus, an engine that searches it, and Search-R1's protocol over HTTP.

scan.py, corpus.py    passages of a JSON Lines file, read in place by their byte offsets
engine.py, engines.py what an engine is, and which there are: bm25.py, dense.py (encoder.py, vectors.py)
store.py              an index as a folder: built whole or not at all, opened, kept in the cache
protocol.py, app.py   requests and answers; the HTTP application
server.py             the socket, loading, and the end
"""
